//! What the plan allows, and what providers send.

pub(crate) mod entitlements;
pub(crate) mod inbox;
