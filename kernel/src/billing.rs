//! What a workspace pays for, and what that lets it do.

pub mod catalog;
pub mod entitlements;
pub mod inbox;
pub mod limits;
pub mod processor;
pub mod provider;
pub mod subscription;
