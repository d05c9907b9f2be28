//! In-process adapters of the ports, for tests, for development and for a single copy of an app. Their data ends with the
//! process.

pub mod billing;
pub mod mailer;
pub mod rate_limit;
