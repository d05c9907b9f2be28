//! The credentials that a call can present.

use crate::base::secret::Token;

/// A credential that a caller presented. Every kind leads through [`Authenticator`](super::authenticate::Authenticator) to a
/// principal and its entry into a workspace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credential {
    /// The token of a session, from its cookie.
    Session(Token),
    /// The token of an API key.
    ApiKey(Token),
}
