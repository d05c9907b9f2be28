//! The declaration of a pillar's repositories.

/// Declares a pillar's repositories, each once: the accessor on [`Tx`](crate::store::Tx) and the repository's trait. An adapter
/// that implements the repositories has the accessors; `REPOSITORIES` lists their names, for tests.
///
/// It expands to a trait with one accessor for each repository, an implementation of it for every type that implements all
/// of them, and the list.
macro_rules! repositories {
    ($(#[$meta:meta])* pub trait $pillar:ident { $($(#[$doc:meta])* $accessor:ident: $repository:path;)* }) => {
        $(#[$meta])*
        pub trait $pillar: Send {
            $($(#[$doc])* fn $accessor(&mut self) -> &mut dyn $repository;)*
        }

        impl<T: Send $(+ $repository)*> $pillar for T {
            $(fn $accessor(&mut self) -> &mut dyn $repository {
                self
            })*
        }

        /// The names of the pillar's repositories.
        pub const REPOSITORIES: &[&str] = &[$(stringify!($accessor)),*];
    };
}

pub(crate) use repositories;
