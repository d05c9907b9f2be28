//! The SaaS kernel: what every B2B product rebuilds, as ports and pure domain logic. It asks no network and no
//! database (it only reads the product's configuration file); adapters (`saas-kernel-postgres`, `saas-kernel-stripe`, `saas-kernel-axum` …) do it.
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | [`kernel`] | [`Kernel`], put together once from configuration and adapters |
//! | [`ctx`], [`actor`], [`id`], [`clock`], [`page`], [`secret`], [`error`] | who asks, when, in which words; ids, cursors, secrets, refusals |
//! | [`store`], [`records`] | the persistence seam: [`Store`], [`Tx`], [`Scope`] |
//! | [`access`] | permissions as types, the role matrix, [`Grant`] and [`Can`] |
//! | [`identity`] | accounts, passwords, sessions, API keys |
//! | [`tenancy`] | workspaces, their members and invites |
//! | [`billing`] | plans, subscriptions, entitlements, limits, the webhook inbox |
//! | [`audit`], [`events`] | what happened, for the record and for others |
//! | [`guard`] | rate limits and idempotency |
//! | [`hooks`], [`config`] | where the product plugs in |
//! | [`notify`] | mail |
//! | [`memory`] | in-process adapters |
//! | `conformance` | what every adapter must do, as suites to run (feature `conformance`) |
//!
//! # A mutation
//!
//! ```no_run
//! use saas_kernel::{Can, Error, Tx, access::UpdateWorkspace, audit};
//!
//! // The permission is a parameter: without the check there is nothing to call this with.
//! fn note(can: &Can<UpdateWorkspace>, tx: &mut dyn Tx) -> Result<(), Error> {
//!     audit::record(can, tx, "workspace.noted", "workspace", can.workspace())
//! }
//! ```
#![warn(missing_docs)]

pub mod access;
pub mod actor;
pub mod audit;
pub mod billing;
pub mod clock;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod ctx;
pub mod error;
pub mod events;
pub mod guard;
pub mod hooks;
pub mod id;
pub mod identity;
pub mod kernel;
pub mod memory;
pub mod notify;
pub mod page;
pub mod records;
pub mod secret;
pub mod store;
pub mod tenancy;
pub mod text;

pub use access::{Can, Grant, Permission};
pub use actor::Actor;
pub use billing::entitlements::Feature;
pub use billing::limits::Limit;
pub use config::ProductConfig;
pub use ctx::Ctx;
pub use error::{BoxError, Error, Fields, Refusal};
pub use hooks::Hooks;
pub use id::Id;
pub use kernel::{Kernel, KernelBuilder};
pub use store::{Scope, Store, StoreError, SystemStore, Tx};

#[doc(hidden)]
pub use chrono::{DateTime, Utc};
#[doc(hidden)]
pub use serde;
#[doc(hidden)]
pub use uuid::Uuid;
