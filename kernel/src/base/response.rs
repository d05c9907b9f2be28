//! A response as it is kept for a retry.

/// An answer kept for a retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredResponse {
    /// The protocol's status, such as 201.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}
