//! Responses as they are stored under an idempotency key.

/// A response that is stored for retries of its request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredResponse {
    /// Status of the response, such as 201.
    pub status: u16,
    /// Body of the response.
    pub body: Vec<u8>,
}
