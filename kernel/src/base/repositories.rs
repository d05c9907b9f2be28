//! The `repositories!` macro, which declares a pillar's repositories.

/// Declares a pillar's repositories, one line each: the name of the accessor on [`Tx`](crate::store::Tx) and the repository's
/// trait. An adapter that implements the repositories gets the accessors; `REPOSITORIES` lists their names, for tests.
///
/// It expands to a trait with one accessor per repository, an implementation of that trait for every type that implements all
/// the repositories, and the list.
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
