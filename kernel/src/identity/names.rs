//! The names this pillar declares: permissions, error codes, audit actions.

crate::permissions! {
    /// Create and list API keys.
    pub CreateApiKey = write "api_key.create";
    /// Revoke API keys.
    pub DeleteApiKey = write "api_key.delete";
}

/// Error codes.
pub mod codes {
    crate::codes! { pub IDENTITY {
        INVALID_CREDENTIALS = "invalid_credentials", Unauthenticated, "Check the e-mail address and the password.";
        TOO_MANY_KEYS = "too_many_keys", Conflict, "Revoke API keys that nobody uses.";
    } }
}

/// Audit actions.
pub mod action {
    crate::names! { pub IDENTITY {
        /// A person created their account.
        USER_SIGN_UP = "user.sign_up";
        /// A person signed in.
        USER_LOGIN = "user.login";
        /// A person signed out.
        USER_LOGOUT = "user.logout";
        /// An API key was created.
        API_KEY_CREATE = "api_key.create";
        /// An API key was revoked.
        API_KEY_REVOKE = "api_key.revoke";
    } }
}
