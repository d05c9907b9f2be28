//! In-process adapters of the ports.

pub mod mailer;
pub mod rate_limit;
