//! What people are told outside the product.

pub mod mailer;
