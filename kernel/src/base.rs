//! Basic types that all other modules use: ids, errors and refusals, time, the context of a call, pages, secrets and the keyring, text. They
//! use no other module of the crate.

pub mod actor;
pub mod clock;
pub mod ctx;
pub mod error;
pub mod id;
pub mod idempotency;
pub mod json;
pub mod keyring;
mod names;
pub mod origin;
pub mod page;
pub(crate) mod repositories;
pub mod request;
pub mod response;
pub mod secret;
pub(crate) mod settings;
pub mod subject;
pub mod text;
