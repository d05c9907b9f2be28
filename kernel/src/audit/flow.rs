//! Records what a caller did, and lists the audit log.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::Value;

use super::{AuditEntry, AuditFilter, AuditRecord};
use crate::access::{Can, Grant};
use crate::audit::names::ReadAudit;
use crate::base::error::{Error, Refusal};
use crate::base::page::{Page, PageRequest};
use crate::store::{ReadTx, Tx};

/// Records that the caller did `action` to the target `id` of type `target`. The entry is written when the transaction commits.
///
/// # Errors
/// If the transaction is not one of the grant's workspace.
pub fn record(
    grant: &Grant,
    tx: &mut dyn Tx,
    action: impl Into<Cow<'static, str>>,
    target: impl Into<Cow<'static, str>>,
    id: impl Display,
) -> Result<(), Error> {
    record_with(grant, tx, action, target, id, Value::Null)
}

/// Like [`record`], with further details as JSON.
///
/// # Errors
/// If the transaction is not one of the grant's workspace.
pub fn record_with(
    grant: &Grant,
    tx: &mut dyn Tx,
    action: impl Into<Cow<'static, str>>,
    target: impl Into<Cow<'static, str>>,
    id: impl Display,
    meta: Value,
) -> Result<(), Error> {
    let entry = AuditEntry::by(grant, action).target(target, id).meta(meta);
    grant.enter(tx)?.records().audit(entry);
    Ok(())
}

/// Lists the workspace's audit log, newest first.
///
/// # Errors
/// `validation_failed` if `until` is not later than `from`.
pub async fn list(
    can: &Can<ReadAudit>,
    tx: &mut dyn ReadTx,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditRecord>, Error> {
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        return Err(Refusal::field("until", "must be later than `from`").into());
    }
    Ok(can.enter_read(tx)?.audit_log().list(can.workspace().into(), filter, page).await?)
}
