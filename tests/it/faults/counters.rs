//! The invariants of the service's own counters.

use super::checks::{CheckResult, Violation};
use super::play::{Played, SMALL_BUDGET};
use super::scenario::Scenario;
use crate::model::log::{Entry, What};

/// Checks that no more messages are in flight than the configuration allows.
pub(super) fn budgets_hold(scenario: &Scenario, played: &Played) -> CheckResult {
    if scenario.small_budget && played.most_in_flight > SMALL_BUDGET {
        let what = format!("{} messages were in flight, but the budget is {SMALL_BUDGET}", played.most_in_flight);
        return Err(Violation { event: None, what });
    }
    Ok(())
}

/// Checks the counters of every run that stopped by itself: it has counted each message that reached it, and has
/// settled each of them.
pub(super) fn accounts_balance(played: &Played) -> CheckResult {
    for ended in &played.ended {
        let handed =
            |entry: &&Entry| entry.instance == Some(ended.instance) && matches!(entry.what, What::Handed { .. });
        let handed = played.log.iter().filter(handed).count() as u64;
        if ended.received != handed {
            let what = format!("{ended:?}, but {handed} messages reached it");
            return Err(Violation { event: None, what });
        }
        if ended.received != ended.settled || ended.open != 0 {
            return Err(Violation { event: None, what: format!("not every received message was settled: {ended:?}") });
        }
    }
    Ok(())
}
