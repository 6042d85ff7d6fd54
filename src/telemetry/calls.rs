//! Counting the calls of AWS APIs: in the metrics, and in the usage that the store keeps.

use std::collections::BTreeMap;

use super::labels::{BillableLabels, CallLabels, CallResult};
use super::metrics::Metrics;
use super::operation::Operation;
use super::usage::{Call, CallEnd, Carried, Counts, SettledKey};

impl Metrics {
    /// Counts one call of an AWS API that carries neither messages nor entries.
    pub fn call(&self, operation: Operation, is_fifo: bool, is_ok: bool) {
        let end = if is_ok { CallEnd::Answered(Carried::NOTHING) } else { CallEnd::Failed };
        self.transfer(&Call::new(operation, is_fifo), end);
    }

    /// Counts one call of an AWS API, and the requests that AWS bills for it. All calls are counted here.
    pub fn transfer(&self, call: &Call<'_>, end: CallEnd) {
        let Call { operation, customer, .. } = *call;
        let result = if let CallEnd::Answered(_) = end { CallResult::Ok } else { CallResult::Error };
        self.calls.with(&CallLabels { operation, result }).add(1);
        if let CallEnd::Answered(carried) = end {
            let customer = self.customer(customer.map(|id| &**id));
            self.billable.with(&BillableLabels { operation, customer }).add(carried.units_per_call);
        }
        self.usage.call(call, end);
    }

    /// Begins to keep the [`usage`](Self::usage).
    pub fn begin_usage(&self) {
        self.usage.begin(self.all_settled());
    }

    /// Returns what the process used of AWS, and the messages that were settled, since the last take.
    pub fn take_usage(&self) -> Counts {
        self.usage.take(self.all_settled())
    }

    fn all_settled(&self) -> BTreeMap<SettledKey, u64> {
        self.settled.sum_by(|labels| Some((labels.queue.to_owned(), labels.event_type.to_owned(), labels.outcome)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::CustomerLabel;

    #[test]
    fn a_call_is_billed_for_each_64_kib_and_a_failed_call_is_not_billed() {
        let metrics = Metrics::new(true);
        metrics.call(Operation::DeleteMessageBatch, false, true);
        metrics.call(Operation::DeleteMessageBatch, false, false);
        let call = Call { customer: Some(&"acme".into()), ..Call::new(Operation::PublishBatch, false) };
        metrics.transfer(&call, CallEnd::Answered(Carried::sizes([64 * 1024])));
        metrics.transfer(&call, CallEnd::Answered(Carried::sizes([64 * 1024, 1])));
        metrics.transfer(&call, CallEnd::Throttled);
        let billed = |operation| metrics.billable.sum_where(|labels| labels.operation == operation);
        assert_eq!((billed(Operation::PublishBatch), billed(Operation::DeleteMessageBatch)), (3, 1));
        assert_eq!(metrics.billable.sum_where(|labels| labels.customer.is("acme")), 3);
        assert_eq!(metrics.billable.sum_where(|labels| labels.customer == CustomerLabel::NoCustomer), 1);
        assert_eq!(Metrics::new(false).declared().iter().filter(|m| m.labels.contains(&"customer")).count(), 0);
    }
}
