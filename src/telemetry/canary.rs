//! The metrics of the canary's prober.

use super::exposition::Exposition;
use super::family::{Family, Level, Times};
use super::label_set::NoLabels;
use super::labels::{CanaryLeg, CanaryLegLabels};

/// The metrics of a prober. They are shown only by a process that sends canaries.
///
/// Each canary that was sent ends once: as `returned`, as `corrupt` or as `lost`. A lost canary that returns after all
/// counts as `late` in addition, and as `corrupt` too if it was altered.
#[derive(Debug)]
pub struct CanaryMetrics {
    /// The canaries that the input queue accepted.
    pub sent: Family,
    /// The canaries that returned within their deadline, unaltered.
    pub returned: Family,
    /// The canaries that did not return within their deadline.
    pub lost: Family,
    /// The lost canaries that returned after their deadline.
    pub late: Family,
    /// The canaries that returned altered, and messages in the return queue that are no canaries.
    pub corrupt: Family,
    /// The canaries that the input queue did not accept.
    pub send_errors: Family,
    /// The time of a canary's round trip, as a whole and by leg.
    pub round_trip: Family<CanaryLegLabels, Times>,
    /// When the last canary returned, in seconds since 1970. Not shown before the first return.
    pub last_return: Family<NoLabels, Level>,
}

impl CanaryMetrics {
    pub(super) fn declare(all: &mut Exposition) -> Self {
        Self {
            sent: all.family("protobridge_canary_sent_total", "Canaries that the input queue accepted"),
            returned: all
                .family("protobridge_canary_returned_total", "Canaries that returned within their deadline, unaltered"),
            lost: all.family("protobridge_canary_lost_total", "Canaries that did not return within their deadline"),
            late: all.family("protobridge_canary_late_total", "Lost canaries that returned after their deadline"),
            corrupt: all.family(
                "protobridge_canary_corrupt_total",
                "Canaries that returned altered, and messages in the return queue that are no canaries",
            ),
            send_errors: all
                .family("protobridge_canary_send_errors_total", "Canaries that the input queue did not accept"),
            round_trip: all.family(
                "protobridge_canary_round_trip_seconds",
                "Time of a canary's round trip: in (to the topic), out (to the return queue) and total",
            ),
            last_return: all.family(
                "protobridge_canary_last_return_timestamp_seconds",
                "When the last canary returned, in seconds since 1970",
            ),
        }
    }

    /// Shows the counters of a prober that has counted nothing, so that `increase()` sees the first one.
    pub fn start_at_zero(&self) {
        for counter in [&self.sent, &self.returned, &self.lost, &self.late, &self.corrupt, &self.send_errors] {
            counter.with(&NoLabels);
        }
        for leg in CanaryLeg::ALL.iter().copied() {
            self.round_trip.with(&CanaryLegLabels { leg });
        }
    }
}
