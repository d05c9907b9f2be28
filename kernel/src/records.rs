//! Records of a transaction: audit entries, events and the response stored for a retry. They are buffered and written by the
//! commit in one statement, so that they exist exactly if the change exists.

use crate::audit::AuditEntry;
use crate::base::idempotency::IdempotencyKey;
use crate::base::response::StoredResponse;
use crate::events::OutboxEvent;

/// Repository: the buffer of a transaction's records. Nothing is written before the commit.
pub trait Records: Send {
    /// Adds an entry to the audit log.
    fn audit(&mut self, entry: AuditEntry);
    /// Adds an event to the outbox.
    fn event(&mut self, event: OutboxEvent);
    /// Stores the response under the request's idempotency key.
    fn response(&mut self, response: StoredResponse);
    /// Releases an idempotency key of the caller: the next call with it runs again. For calls that failed after their commit.
    fn free(&mut self, key: IdempotencyKey);
}
