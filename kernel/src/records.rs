//! What a transaction says about itself: audit entries, events and the answer kept for a retry. Buffered in the
//! transaction and written by its commit in one statement, so that they exist exactly when the change exists.

use crate::audit::AuditEntry;
use crate::base::idempotency::IdempotencyKey;
use crate::base::response::StoredResponse;
use crate::events::OutboxEvent;

/// Repository: the buffer. Nothing is sent before the commit.
pub trait Records: Send {
    /// Adds an entry to the audit log.
    fn audit(&mut self, entry: AuditEntry);
    /// Adds an event to the outbox.
    fn event(&mut self, event: OutboxEvent);
    /// Keeps the answer under the request's idempotency key.
    fn response(&mut self, response: StoredResponse);
    /// Frees a key of the caller's: the next call with it runs. For a call of which something failed after its commit.
    fn free(&mut self, key: IdempotencyKey);
}
