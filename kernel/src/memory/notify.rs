//! What people would be told.

pub mod mailer;
