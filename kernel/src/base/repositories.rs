//! The `repositories!` macro, which declares a pillar's repositories.

/// Declares a pillar's repositories, one line each: the name of the accessor, the repository's trait, and, if it reads, the trait
/// of its reading part. An adapter that implements the repositories gets the accessors; `REPOSITORIES` lists their names, for
/// tests.
///
/// It expands to two traits with one accessor per repository, one for [`Tx`](crate::store::Tx) and one for the reading parts,
/// each with an implementation for every type that implements all of its repositories, and the list.
macro_rules! repositories {
    (
        $(#[$meta:meta])* pub trait $pillar:ident;
        $(#[$read_meta:meta])* pub trait $reads:ident;
        $($(#[$doc:meta])* $accessor:ident: $repository:path $(, reads $reading:path)?;)*
    ) => {
        $(#[$meta])*
        pub trait $pillar: Send {
            $($(#[$doc])* fn $accessor(&mut self) -> &mut dyn $repository;)*
        }

        impl<T: Send $(+ $repository)*> $pillar for T {
            $(fn $accessor(&mut self) -> &mut dyn $repository {
                self
            })*
        }

        $(#[$read_meta])*
        pub trait $reads: Send {
            $($(
                #[doc = concat!("The reading part of `", stringify!($accessor), "`.")]
                fn $accessor(&mut self) -> &mut dyn $reading;
            )?)*
        }

        impl<T: Send $($(+ $reading)?)*> $reads for T {
            $($(fn $accessor(&mut self) -> &mut dyn $reading {
                self
            })?)*
        }

        /// The names of the pillar's repositories.
        pub const REPOSITORIES: &[&str] = &[$(stringify!($accessor)),*];
    };
}

pub(crate) use repositories;
