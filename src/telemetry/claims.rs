//! The metrics of claim checks.

use super::exposition::Exposition;
use super::family::Family;
use super::label_set::NoLabels;
use super::labels::{ClaimLabels, CustomerLabel, FailureLabels};

/// The metrics of claim checks. They are shown only by a process that has a bucket for them.
#[derive(Debug)]
pub struct ClaimMetrics {
    /// The objects that S3 confirmed.
    pub stored: Family<ClaimLabels<'static>>,
    /// The bytes of these objects.
    pub bytes: Family,
    /// The failed calls that store an object.
    pub store_errors: Family<FailureLabels<'static>>,
}

impl ClaimMetrics {
    /// Declares the metrics without the label `hidden`.
    pub(super) fn declare(all: &mut Exposition, hidden: Option<&'static str>) -> Self {
        Self {
            stored: all.family_without(
                hidden,
                "protobridge_claims_stored_total",
                "Events whose JSON was stored in the bucket of claim checks",
            ),
            bytes: all.family(
                "protobridge_claim_bytes_total",
                "Bytes of JSON that were stored in the bucket of claim checks",
            ),
            store_errors: all.family(
                "protobridge_claim_store_errors_total",
                "Failed calls that store JSON in the bucket of claim checks, by error code",
            ),
        }
    }

    /// Counts an object that S3 confirmed.
    pub fn stored(&self, customer: CustomerLabel<'_>, bytes: usize) {
        self.stored.with(&ClaimLabels { customer }).add(1);
        self.bytes.with(&NoLabels).add(bytes as u64);
    }

    /// Shows the counters of a bucket that has no object yet, so that `increase()` sees the first one.
    pub fn start_at_zero(&self) {
        self.bytes.with(&NoLabels);
    }
}
