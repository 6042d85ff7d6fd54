//! What may go wrong, and how often.

use fastrand::Rng;

/// The probability of each fault. Those of a call are drawn for each call, those of an entry for each entry.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Faults {
    /// The call is throttled, under one of the known names.
    pub(crate) throttled: f64,
    /// The call is answered with a 5xx.
    pub(crate) broken: f64,
    /// The call is answered with a 4xx that has nothing to do with it.
    pub(crate) refused: f64,
    /// The call is never answered and nothing happens.
    pub(crate) lost_request: f64,
    /// It happens, but the call is never answered.
    pub(crate) lost_answer: f64,
    /// The connection ends before it happens.
    pub(crate) reset_before: f64,
    /// The connection ends after it has happened.
    pub(crate) reset_after: f64,
    /// The call takes seconds, some of them more than any timeout.
    pub(crate) slow: f64,
    /// An entry of a publish fails and did not happen.
    pub(crate) publish_fails: f64,
    /// An entry of a publish is reported as failed and has happened.
    pub(crate) publish_fails_late: f64,
    /// An entry of a publish is refused for what it is.
    pub(crate) publish_refused: f64,
    /// An entry of a send to a queue fails and did not happen.
    pub(crate) send_fails: f64,
    /// A delete fails and did not happen.
    pub(crate) delete_fails: f64,
    /// A delete is reported as failed and has happened.
    pub(crate) delete_fails_late: f64,
    /// A change of visibility fails and did not happen.
    pub(crate) visibility_fails: f64,
    /// A standard queue hands out a message that is in flight.
    pub(crate) twice: f64,
    /// A standard queue hands out a message once more after it was deleted.
    pub(crate) ghost: f64,
    /// A message becomes visible a while after it was sent.
    pub(crate) late: f64,
    /// A message becomes visible before its timeout is over.
    pub(crate) lapses_early: f64,
    /// Messages that SNS takes a second.
    pub(crate) quota: Option<f64>,
}

impl Faults {
    /// Nothing goes wrong.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// A mix in which each fault is absent, rare or common, and one may rule the day.
    pub(crate) fn draw(random: &mut Rng) -> Self {
        let mut faults = Self::default();
        if random.u8(..20) == 0 {
            return faults;
        }
        for fault in faults.probabilities() {
            *fault = *random.choice(&[0.0, 0.0, 0.005, 0.02, 0.06]).expect("a choice");
        }
        if random.u8(..3) == 0 {
            let [ruling, heavy] = [random.usize(..19), 20 + random.usize(..30)];
            *faults.probabilities()[ruling] = heavy as f64 / 100.0;
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
