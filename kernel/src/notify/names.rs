//! The names this pillar declares: error codes.

/// Error codes.
pub mod codes {
    crate::codes! { pub NOTIFY {
        MAIL_UNAVAILABLE = "mail_unavailable", Unavailable, "Repeat the request; what it created was saved.";
    } }
}
