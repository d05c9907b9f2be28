//! In-process adapters of the ports, for tests, development and one copy of an app. Nothing outlives the process.

pub mod billing;
pub mod mailer;
pub mod rate_limit;
