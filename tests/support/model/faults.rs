//! The faults of the model, and how often they happen.

use fastrand::Rng;

/// The probability of each fault, per call or, for faults of an entry, per entry.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Faults {
    /// The call is throttled with one of the known error codes.
    pub(crate) throttled: f64,
    /// The call is answered with a 5xx.
    pub(crate) broken: f64,
    /// The call is answered with a 4xx error that its content does not explain.
    pub(crate) refused: f64,
    /// The call has no effect and is never answered.
    pub(crate) lost_request: f64,
    /// The call takes effect but is never answered.
    pub(crate) lost_answer: f64,
    /// The connection is reset before the call takes effect.
    pub(crate) reset_before: f64,
    /// The connection is reset after the call has taken effect.
    pub(crate) reset_after: f64,
    /// The call takes seconds, sometimes longer than any timeout.
    pub(crate) slow: f64,
    /// An entry of a publish fails and has no effect.
    pub(crate) publish_fails: f64,
    /// An entry of a publish takes effect but is reported as failed.
    pub(crate) publish_fails_late: f64,
    /// An entry of a publish is refused as invalid.
    pub(crate) publish_refused: f64,
    /// An entry of a send to a queue fails and has no effect.
    pub(crate) send_fails: f64,
    /// A delete fails and has no effect.
    pub(crate) delete_fails: f64,
    /// A delete takes effect but is reported as failed.
    pub(crate) delete_fails_late: f64,
    /// A visibility change fails and has no effect.
    pub(crate) visibility_fails: f64,
    /// A standard queue hands out a message that is in flight.
    pub(crate) twice: f64,
    /// A standard queue hands out a message once more after it was deleted.
    pub(crate) ghost: f64,
    /// A message becomes visible a while after it was sent.
    pub(crate) late: f64,
    /// A message becomes visible before its visibility timeout ends.
    pub(crate) lapses_early: f64,
    /// The number of messages per second that SNS accepts, or `None` for no limit.
    pub(crate) quota: Option<f64>,
}

impl Faults {
    /// Returns probabilities of zero and no quota.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Draws a mix in which each fault is absent, rare or common. Sometimes one fault dominates.
    pub(crate) fn draw(random: &mut Rng) -> Self {
        let mut faults = Self::default();
        if random.u8(..20) == 0 {
            return faults;
        }
        for fault in faults.probabilities() {
            *fault = *random.choice(&[0.0, 0.0, 0.005, 0.02, 0.06]).expect("the list is not empty");
        }
        if random.u8(..3) == 0 {
            let [dominant, percent] = [random.usize(..19), 20 + random.usize(..30)];
            *faults.probabilities()[dominant] = percent as f64 / 100.0;
        }
        if random.u8(..6) == 0 {
            faults.quota = Some(f64::from(random.u8(1..=10)));
        }
        faults
    }

    fn probabilities(&mut self) -> [&mut f64; 19] {
        [
            &mut self.throttled,
            &mut self.broken,
            &mut self.refused,
            &mut self.lost_request,
            &mut self.lost_answer,
            &mut self.reset_before,
            &mut self.reset_after,
            &mut self.slow,
            &mut self.publish_fails,
            &mut self.publish_fails_late,
            &mut self.publish_refused,
            &mut self.send_fails,
            &mut self.delete_fails,
            &mut self.delete_fails_late,
            &mut self.visibility_fails,
            &mut self.twice,
            &mut self.ghost,
            &mut self.late,
            &mut self.lapses_early,
        ]
    }
}
