//! The deliveries of one customer that the journal shows as confirmed.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::dedupe::DeliveryKey;
use crate::message::{OutcomeLabel, TopicArn};
use crate::store::journal::{Error, Looked, Reader, Row};

/// The time before a window for which the journal is read, too, in microseconds: a message's row and its copy in the archive
/// do not have exactly the same time.
const BEFORE: i64 = 10 * 60 * 1_000_000;

/// The deliveries of one customer that SNS confirmed, as the journal has them. Keeps 16 bytes for each.
#[derive(Debug, Default)]
pub struct ConfirmedDeliveries(HashSet<DeliveryKey>);

impl ConfirmedDeliveries {
    /// Reads the journal from the begin of a window until `now`, because an event of the window can be confirmed later, also
    /// by an earlier replay or by a redrive. Returns what was looked at, too. A delivery without a row can have been
    /// confirmed nevertheless, if the journal has a hole. Times are microseconds since the Unix epoch.
    ///
    /// # Errors
    /// Returns an error if the store does not return what is needed, or if a segment is damaged.
    pub async fn read(
        journal: &Reader,
        customer: &str,
        window: &Range<i64>,
        now: i64,
    ) -> Result<(Self, Looked), Error> {
        let mut confirmed = Self::default();
        let times = window.start.saturating_sub(BEFORE)..now.max(window.end);
        let looked = journal.scan(times, |row| confirmed.add(&row, customer)).await?;
        Ok((confirmed, looked))
    }

    /// Adds the delivery of a row, if it is one of this customer and was confirmed.
    fn add(&mut self, row: &Row, customer: &str) {
        let has_event = [OutcomeLabel::Published, OutcomeLabel::Duplicate].map(OutcomeLabel::code);
        let is_wanted = row.customer.as_deref() == Some(customer) && has_event.contains(&&*row.outcome);
        if let (Some(event_type), Some(event_id), Some(topic)) = (&row.event_type, &row.event_id, &row.topic)
            && is_wanted
        {
            let (customer, topic): (Arc<str>, TopicArn) = (customer.into(), topic.as_str().into());
            self.0.insert(DeliveryKey::new(event_type, event_id, Some(&customer), &topic));
        }
    }

    /// Whether a delivery is confirmed.
    pub fn contains(&self, key: &DeliveryKey) -> bool {
        self.0.contains(key)
    }

    /// Returns the number of deliveries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no delivery.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(event_id: &str, customer: Option<&str>, outcome: OutcomeLabel) -> Row {
        Row {
            event_id: Some(event_id.into()),
            event_type: Some("shop.v1.OrderPlaced".into()),
            customer: customer.map(str::to_owned),
            topic: Some("arn:aws:sns:eu-west-1:1:acme".into()),
            outcome: outcome.code().into(),
            ..Row::default()
        }
    }

    #[test]
    fn a_delivery_is_confirmed_if_a_row_of_the_customer_says_so() {
        let mut confirmed = ConfirmedDeliveries::default();
        for outcome in OutcomeLabel::ALL {
            confirmed.add(&row(outcome.code(), Some("acme"), outcome), "acme");
            confirmed.add(&row(&format!("{}-other", outcome.code()), Some("globex"), outcome), "acme");
            confirmed.add(&row(&format!("{}-none", outcome.code()), None, outcome), "acme");
        }
        confirmed.add(&Row { topic: None, ..row("no-topic", Some("acme"), OutcomeLabel::Published) }, "acme");
        assert_eq!(confirmed.len(), 2, "published and duplicate");
        let key =
            |id: &str, topic: &str| DeliveryKey::new("shop.v1.OrderPlaced", id, Some(&"acme".into()), &topic.into());
        assert!(confirmed.contains(&key("published", "arn:aws:sns:eu-west-1:1:acme")));
        assert!(confirmed.contains(&key("duplicate", "arn:aws:sns:eu-west-1:1:acme")));
        assert!(!confirmed.contains(&key("published", "arn:aws:sns:eu-west-1:1:acme-2")), "another topic");
        assert!(!confirmed.contains(&key("retried", "arn:aws:sns:eu-west-1:1:acme")));
    }
}
