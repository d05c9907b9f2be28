//! Notifications: the mailer port.

pub mod mailer;
pub mod names;
