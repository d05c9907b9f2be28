//! Recording what a caller did, and reading the log.

use std::fmt::Display;

use serde_json::Value;

use super::{AuditEntry, AuditFilter, AuditRecord};
use crate::access::Can;
use crate::audit::names::ReadAudit;
use crate::base::error::{Error, Refusal};
use crate::base::page::{Page, PageRequest};
use crate::store::Tx;

/// Records that the caller did `action` to the thing `id` of kind `target`, if and when the transaction commits.
///
/// # Errors
/// When the transaction is of another workspace.
pub fn record<P>(
    can: &Can<P>,
    tx: &mut dyn Tx,
    action: &'static str,
    target: &'static str,
    id: impl Display,
) -> Result<(), Error> {
    record_with(can, tx, action, target, id, Value::Null)
}

/// [`record`] with what else is worth knowing.
///
/// # Errors
/// When the transaction is of another workspace.
pub fn record_with<P>(
    can: &Can<P>,
    tx: &mut dyn Tx,
    action: &'static str,
    target: &'static str,
    id: impl Display,
    meta: Value,
) -> Result<(), Error> {
    let entry = AuditEntry::new(can.ctx(), can.actor(), can.workspace(), action).target(target, id).meta(meta);
    can.enter(tx)?.records().audit(entry);
    Ok(())
}

/// The workspace's log, newest first.
///
/// # Errors
/// `validation_failed` when the period is empty.
pub async fn list(
    can: &Can<ReadAudit>,
    tx: &mut dyn Tx,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditRecord>, Error> {
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        return Err(Refusal::field("until", "must be later than `from`").into());
    }
    Ok(can.enter(tx)?.audit_log().list(can.workspace(), filter, page).await?)
}
