//! The JSON of an event that leaves as a claim check: it is stored as an object of S3, and its topic carries a pointer.

use std::sync::Arc;

/// The object that must be stored before the pointer to it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offload {
    /// The key in `claim_check.bucket`. It depends on the event, the customer and the JSON alone, so storing it again
    /// replaces the object with the same bytes.
    pub key: String,
    /// The JSON.
    pub json: Arc<String>,
    /// The SHA-256 of the JSON, with which S3 checks what it stores.
    pub sha256: [u8; 32],
}
