//! Mail.

pub mod mailer;
pub mod names;
