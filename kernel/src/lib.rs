//! The SaaS kernel: the parts that every B2B SaaS backend needs, as domain logic and ports. This crate does no network or
//! database I/O and reads only the product's configuration file; adapters (`saas-kernel-postgres`, `saas-kernel-stripe`,
//! `saas-kernel-axum`) do the rest.
//!
//! # Map
//!
//! The modules form layers: each uses modules of its own layer and of those above it in this table, never one below. A test
//! checks it.
//!
//! | layer | module | holds |
//! |---|---|---|
//! | 1 | [`base`] | ids, errors and refusals, clock, context, actor, pages and cursors, secrets and the keyring, text |
//! | 2 | [`access`] | permissions as types, roles, the plans, entitlements, [`Authority`], [`Grant`] and [`Can`] |
//! | 3 | [`identity`] | accounts, passwords, sessions, API keys |
//! | 3 | [`tenancy`] | workspaces, their members and invites |
//! | 3 | [`billing`] | subscriptions, entitlements, limits, the webhook inbox |
//! | 3 | [`audit`], [`events`] | the audit log; events for other systems |
//! | 3 | [`guard`], [`notify`] | the client's address, rate limits, the CSRF check, idempotency; mail |
//! | 4 | [`store`], [`records`] | the port of the database: [`Store`], [`Tx`], [`ReadTx`], [`Scope`] |
//! | 4 | [`failure`] | why a call failed, as an adapter has to answer it |
//! | 5 | the pillars' flows, [`hooks`] | functions `(&Can<P>, &mut dyn Tx, input)`, or `&mut dyn ReadTx`, in `<thing>/flow.rs`; the product's hooks |
//! | 5 | [`memory`] | in-process adapters of the ports |
//! | 6 | [`kernel`], [`config`] | [`Kernel`], built once from configuration and adapters; login, sign-up and invites in full |
//! | | [`mod@names`] | the error codes, permissions, audit actions and event subjects of all pillars |
//! | | `conformance` | test suites that every adapter of a port must pass (feature `conformance`) |
//!
//! # A mutation
//!
//! ```no_run
//! use saas_kernel::permissions::UpdateWorkspace;
//! use saas_kernel::{Can, Error, Tx, audit};
//!
//! // The permission is a parameter: without the check there is no value to pass.
//! fn note(can: &Can<UpdateWorkspace>, tx: &mut dyn Tx) -> Result<(), Error> {
//!     audit::record(can, tx, "workspace.noted", "workspace", can.workspace())
//! }
//! ```
#![warn(missing_docs)]

pub mod access;
pub mod audit;
pub mod base;
pub mod billing;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod events;
pub mod failure;
pub mod guard;
pub mod hooks;
pub mod identity;
pub mod kernel;
pub mod memory;
pub mod names;
pub mod notify;
pub mod records;
pub mod store;
pub mod tenancy;

pub use access::{Authority, Call, Can, Grant, Permission};
pub use base::actor::Actor;
pub use base::ctx::Ctx;
pub use base::error::{BoxError, Error, Fields, Refusal, StoreError};
pub use base::id::Id;
pub use base::keyring::Keyring;
pub use base::subject::Subject;
pub use base::{
    actor, clock, ctx, error, id, idempotency, json, keyring, origin, page, request, response, secret, subject, text,
};
pub use billing::entitlements::Feature;
pub use billing::limits::Limit;
pub use config::ProductConfig;
pub use hooks::Hooks;
pub use kernel::{Kernel, KernelBuilder};
pub use names::{actions, codes, permissions, subjects};
pub use store::{Proof, ReadTx, Scope, Store, SystemStore, Tx};

#[doc(hidden)]
pub use chrono::{DateTime, Utc};
#[doc(hidden)]
pub use serde;
#[doc(hidden)]
pub use uuid::Uuid;
