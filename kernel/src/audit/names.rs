//! The names this pillar declares: permissions and audit actions.

crate::permissions! {
    /// Read the audit log.
    pub ReadAudit = read "audit.read";
}

/// Audit actions for a product's own resources. Products declare others with [`names!`](macro@crate::names).
pub mod action {
    crate::names! { pub RESOURCES {
        /// A resource of the product was created.
        RESOURCE_CREATE = "resource.create";
        /// A resource of the product was changed.
        RESOURCE_UPDATE = "resource.update";
        /// A resource of the product was deleted.
        RESOURCE_DELETE = "resource.delete";
    } }
}
