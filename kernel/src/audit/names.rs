//! The names this pillar declares: permissions and audit actions.

crate::permissions! {
    /// Read the audit log.
    pub ReadAudit = "audit.read";
}

/// Audit actions for a product's own rows. A product declares others with [`names!`](crate::names).
pub mod action {
    crate::names! { pub RESOURCES {
        /// A row of the product was made.
        RESOURCE_CREATE = "resource.create";
        /// A row of the product changed.
        RESOURCE_UPDATE = "resource.update";
        /// A row of the product was deleted.
        RESOURCE_DELETE = "resource.delete";
    } }
}
