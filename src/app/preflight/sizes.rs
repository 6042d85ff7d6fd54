//! The largest message that a topic accepts: whether it suits the batches, and whether a claim check is cheaper.
//!
//! An event of more than 256 KiB has two ways to a topic: the topic accepts larger messages, up to 1 MiB, or the event leaves
//! as a claim check. [`compare`] computes what each costs. It knows list prices, not the bill: it leaves out KMS, data
//! transfer and what AWS does not document.

use super::{Finding, Preflight, Severity};
use crate::config::{Config, Prices};
use crate::message::TopicArn;
use crate::route::{ClaimCheckMode, Router};
use crate::store::retention::CLAIM_DAYS;

/// SNS and SQS bill each 64 KiB of a message as one request (<https://aws.amazon.com/sns/pricing/>).
const UNIT_BYTES: usize = 64 * 1024;

/// The units of the largest message that SNS accepts, 1 MiB.
const MOST_UNITS: usize = 16;

/// What SNS says about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicSize {
    pub(super) topic: TopicArn,
    /// `MaximumMessageSize` in bytes, if SNS states it.
    pub(super) max_bytes: Option<usize>,
    /// The number of confirmed subscriptions, if SNS states it.
    pub(super) readers: Option<usize>,
}

/// The money for a million events of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    /// If the topic carries the JSON.
    pub(super) message: f64,
    /// If the JSON is in S3, for as long as claim checks are kept.
    pub(super) claim_check: f64,
}

/// Computes the cost of events of `units` times 64 KiB on a topic with this number of readers, each with a queue.
pub(super) fn compare(units: usize, readers: usize, is_fifo: bool, prices: &Prices) -> Cost {
    const GB: f64 = (1_u64 << 30) as f64;
    /// The days of a month, as S3 bills storage.
    const MONTH: f64 = 30.0;
    let (readers, units) = (readers as f64, units as f64);
    let gigabytes = 1e6 * units * UNIT_BYTES as f64 / GB;
    // SNS delivers to SQS without a fee. The receive of a reader is billed by its units, like the publish.
    let (publish, receive, data) = match is_fifo {
        true => (prices.sns_fifo, prices.sqs_fifo, gigabytes * prices.sns_fifo_gb),
        false => (prices.sns_standard, prices.sqs_standard, 0.0),
    };
    let requests = publish + readers * receive;
    let put_and_gets = 1e3 * (prices.s3_put_thousand + readers * prices.s3_get_thousand);
    let storage = gigabytes * prices.s3_gb_month * f64::from(CLAIM_DAYS) / MONTH;
    Cost { message: units * requests + data, claim_check: requests + put_and_gets + storage }
}

/// Which of the two is cheaper, for the sizes from `claim_check.over_bytes` to the largest message of SNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cheaper {
    /// A larger `MaximumMessageSize`, for all sizes.
    Message,
    /// A claim check, for all sizes.
    ClaimCheck,
    /// A claim check from this number of units on, and a larger message below.
    ClaimCheckFrom(usize),
}

/// Returns which of the two is cheaper. Both costs are linear in the units, and without any unit only the message costs
/// nothing, so a claim check that is cheaper for one size is cheaper for all larger ones.
pub(super) fn cheaper(least_units: usize, readers: usize, is_fifo: bool, prices: &Prices) -> Cheaper {
    let is_claim_check = |units: &usize| {
        let cost = compare(*units, readers, is_fifo, prices);
        cost.claim_check < cost.message
    };
    match (least_units..=MOST_UNITS).find(is_claim_check) {
        None => Cheaper::Message,
        Some(units) if units == least_units => Cheaper::ClaimCheck,
        Some(units) => Cheaper::ClaimCheckFrom(units),
    }
}

impl Preflight<'_> {
    /// Adds what the largest messages of the topics mean for the configuration, and for the customers with a claim check.
    pub fn judge_sizes(&mut self, router: &Router) {
        for size in std::mem::take(&mut self.sizes) {
            self.findings.extend(about_batches(&size, self.config));
            let customer = router.customers().find(|customer| customer.topic == size.topic && customer.enabled);
            if let Some(customer) = customer.filter(|customer| customer.claim_check.is_on()) {
                self.findings.push(about_claim_check(&size, &customer.id, customer.claim_check, self.config));
            }
        }
    }
}

/// Compares the largest message of a topic with the largest batch.
fn about_batches(TopicSize { topic, max_bytes, .. }: &TopicSize, config: &Config) -> Option<Finding> {
    const KEY: &str = "publish.max_batch_bytes";
    let (ours, theirs) = (config.publish.max_batch_bytes, (*max_bytes)?);
    if theirs > ours {
        let message = format!("{topic} accepts messages of {theirs} bytes, and batches have at most {ours}");
        let way_out = "if all topics accept more, raise the key: larger events pass, and large ones need fewer calls";
        return Some(Finding::new(Severity::Info, KEY, message).fix(way_out));
    }
    (theirs < ours).then(|| {
        let message = format!("{topic} accepts messages of {theirs} bytes, so SNS refuses batches of up to {ours}");
        let way_out = format!("lower the key to {theirs}, or raise `MaximumMessageSize` of the topic");
        Finding::new(Severity::Warning, KEY, message).fix(way_out)
    })
}

/// Says which is cheaper for the events of a customer that the claim check is for.
fn about_claim_check(size: &TopicSize, customer: &str, mode: ClaimCheckMode, config: &Config) -> Finding {
    let (prices, is_fifo) = (&config.prices, size.topic.is_fifo());
    // A topic without a subscription is about to have one.
    let readers = size.readers.unwrap_or(1).max(1);
    let least = match mode {
        ClaimCheckMode::Always => 1,
        _ => {
            (config.claim_check.over_bytes.min(config.publish.max_batch_bytes) + 1).div_ceil(UNIT_BYTES).min(MOST_UNITS)
        }
    };
    let money = |units: usize| {
        let Cost { message, claim_check } = compare(units, readers, is_fifo, prices);
        let (size, currency) = (kib(units), &prices.currency);
        format!("{size}: {message:.2} {currency} as messages, {claim_check:.2} as claim checks")
    };
    let verdict = match cheaper(least, readers, is_fifo, prices) {
        Cheaper::Message => {
            "a larger `MaximumMessageSize` (with `publish.max_batch_bytes`) is cheaper up to 1 MiB".to_owned()
        }
        Cheaper::ClaimCheck => "the claim check is cheaper than a larger `MaximumMessageSize`".to_owned(),
        Cheaper::ClaimCheckFrom(units) => format!(
            "a larger `MaximumMessageSize` (with `publish.max_batch_bytes`) is cheaper up to {}, and the claim check above",
            kib(units - 1)
        ),
    };
    let message = format!(
        "customer {customer} with {readers} reader(s): {verdict}; a million events of {}, of {}; above 1 MiB only the claim \
         check works",
        money(least),
        money(MOST_UNITS)
    );
    Finding::new(Severity::Info, "claim_check.over_bytes", message)
}

fn kib(units: usize) -> String {
    format!("{} KiB", units * UNIT_BYTES / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";

    #[test]
    fn the_cost_of_a_size_has_each_request_and_the_storage() {
        let prices = Prices {
            sns_standard: 1.0,
            sns_fifo: 2.0,
            sns_fifo_gb: 3.0,
            sqs_standard: 10.0,
            sqs_fifo: 20.0,
            s3_put_thousand: 0.1,
            s3_get_thousand: 0.01,
            s3_gb_month: 0.0,
            ..Prices::default()
        };
        // A million units have 61.03515625 GB.
        for (units, readers, is_fifo, message, claim_check) in [
            (1, 1, false, 11.0, 11.0 + 110.0),
            (4, 1, false, 44.0, 11.0 + 110.0),
            (4, 3, false, 4.0 * 31.0, 31.0 + 100.0 + 30.0),
            (16, 0, false, 16.0, 1.0 + 100.0),
            (2, 1, true, 44.0 + 3.0 * 122.0703125, 22.0 + 110.0),
        ] {
            let cost = compare(units, readers, is_fifo, &prices);
            assert_eq!(cost, Cost { message, claim_check }, "{units} units, {readers} readers, FIFO: {is_fifo}");
        }
        let stored = compare(1, 0, false, &Prices { s3_gb_month: 2.0, s3_put_thousand: 0.0, ..prices });
        assert_eq!(stored.claim_check, 1.0 + 61.03515625 * 2.0 * 15.0 / 30.0);
    }

    #[test]
    fn the_list_prices_say_which_is_cheaper() {
        use Cheaper::{ClaimCheck, ClaimCheckFrom, Message};
        let list = Prices::default();
        let dear = Prices { s3_put_thousand: 1.0, ..Prices::default() };
        let free = Prices { s3_put_thousand: 0.0, s3_get_thousand: 0.0, s3_gb_month: 0.0, ..Prices::default() };
        for (least, readers, is_fifo, prices, expected) in [
            (5, 1, false, &list, Message),
            (5, 2, false, &list, ClaimCheckFrom(12)),
            (5, 10, false, &list, ClaimCheck),
            (1, 10, false, &list, ClaimCheckFrom(4)),
            (5, 1, true, &list, ClaimCheckFrom(6)),
            (5, 100, false, &dear, Message),
            (1, 1, false, &free, ClaimCheckFrom(2)),
        ] {
            assert_eq!(
                cheaper(least, readers, is_fifo, prices),
                expected,
                "{least} units, {readers} readers, {is_fifo}"
            );
        }
    }

    fn size(max_bytes: Option<usize>, readers: Option<usize>) -> TopicSize {
        TopicSize { topic: TOPIC.into(), max_bytes, readers }
    }

    #[test]
    fn a_topic_that_accepts_more_or_less_than_a_batch_is_reported() {
        let about = |max_bytes| about_batches(&size(max_bytes, None), &Config::default());
        assert_eq!((about(None), about(Some(262_144))), (None, None));
        let (more, less) = (about(Some(1_048_576)).unwrap(), about(Some(131_072)).unwrap());
        assert_eq!((more.severity, less.severity), (Severity::Info, Severity::Warning));
        insta::assert_snapshot!(format!("{more}\n{less}"), @"
        publish.max_batch_bytes: arn:aws:sns:eu-west-1:123456789012:acme accepts messages of 1048576 bytes, and batches have at most 262144; if all topics accept more, raise the key: larger events pass, and large ones need fewer calls
        publish.max_batch_bytes: arn:aws:sns:eu-west-1:123456789012:acme accepts messages of 131072 bytes, so SNS refuses batches of up to 262144; lower the key to 131072, or raise `MaximumMessageSize` of the topic
        ");
    }

    #[test]
    fn the_advice_names_the_customer_the_readers_and_the_money() {
        let about =
            |readers, mode| about_claim_check(&size(None, readers), "acme", mode, &Config::default()).to_string();
        let all = [
            about(None, ClaimCheckMode::On),
            about(Some(2), ClaimCheckMode::On),
            about(Some(2), ClaimCheckMode::Always),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        claim_check.over_bytes: customer acme with 1 reader(s): a larger `MaximumMessageSize` (with `publish.max_batch_bytes`) is cheaper up to 1 MiB; a million events of 320 KiB: 4.50 USD as messages, 9.81 as claim checks, of 1024 KiB: 14.40 USD as messages, 17.53 as claim checks; above 1 MiB only the claim check works
        claim_check.over_bytes: customer acme with 2 reader(s): a larger `MaximumMessageSize` (with `publish.max_batch_bytes`) is cheaper up to 704 KiB, and the claim check above; a million events of 320 KiB: 6.50 USD as messages, 10.61 as claim checks, of 1024 KiB: 20.80 USD as messages, 18.33 as claim checks; above 1 MiB only the claim check works
        claim_check.over_bytes: customer acme with 2 reader(s): a larger `MaximumMessageSize` (with `publish.max_batch_bytes`) is cheaper up to 704 KiB, and the claim check above; a million events of 64 KiB: 1.30 USD as messages, 7.80 as claim checks, of 1024 KiB: 20.80 USD as messages, 18.33 as claim checks; above 1 MiB only the claim check works
        ");
    }
}
