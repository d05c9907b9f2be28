//! The suites of `billing`.

pub(super) mod inbox;
pub(super) mod limits;
pub(super) mod provider;
pub(super) mod subscription;
