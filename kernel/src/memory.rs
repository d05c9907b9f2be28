//! In-process adapters of the ports: [`MemoryStore`] and [`MemorySystem`] are the system of record without a database, for
//! tests, demonstrations and as the executable specification of what an adapter does. The files mirror the crate's own.
//!
//! Everything is as in Postgres that a caller can notice: what a scope sees, which write is refused with which
//! [`StoreError`](crate::StoreError), after which error a transaction is over, what a commit keeps. The
//! conformance suites (feature `conformance`) run on both, and random operations are compared. Three things differ:
//!
//! - Transactions run one at a time: a second `begin` waits until the first has ended. One that waits for its own task can
//!   never go on; it panics in a debug build instead of hanging (see [`MemoryStore`]).
//! - Nothing outlives the process.
//! - There are no product rows. A product that keeps its own in memory tells the limits about them with
//!   [`MemoryTx::count_row`] and [`MemoryTx::uncount_row`].

mod audit;
pub mod billing;
pub mod guard;
mod identity;
pub mod notify;
mod records;
mod store;
mod system;
mod tenancy;
mod turn;
mod tx;

pub use guard::rate_limit;
pub use notify::mailer;
pub use store::MemoryStore;
pub use system::MemorySystem;
pub use tx::MemoryTx;
