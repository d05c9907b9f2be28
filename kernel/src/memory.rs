//! In-process adapters of the ports.

pub mod rate_limit;
