//! Applied catalogs: the plans that the database was told about, each catalog with a number. The highest number is in force, so
//! that processes with different plans, as during a rolling deploy, agree on one.

use async_trait::async_trait;

use crate::access::entitlements::PlanTerms;
use crate::base::error::StoreError;

/// Repository of applied catalogs. System scope only; the adapter applies them at start-up.
#[async_trait]
pub trait Catalogs: Send {
    /// The plans of the catalog that is in force; `None` if none was ever applied. No other catalog comes into force before the
    /// transaction ends, so that what is written from it is not overlooked by the one that follows.
    async fn in_force(&mut self) -> Result<Option<PlanTerms>, StoreError>;
}
