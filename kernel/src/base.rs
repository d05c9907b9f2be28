//! What everything else is made of: ids, errors and refusals, time, the call's context, pages, secrets, text. It knows nothing of
//! the rest of the crate.

pub mod actor;
pub mod checkout;
pub mod clock;
pub mod ctx;
pub mod error;
pub mod id;
pub mod idempotency;
mod names;
pub mod page;
pub(crate) mod repositories;
pub mod response;
pub mod secret;
pub(crate) mod settings;
pub mod text;
