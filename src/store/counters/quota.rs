//! The quota of SNS for published messages, as AWS advertises it.
//!
//! Source: "Publish API throttling per account" in
//! [Amazon SNS endpoints and quotas](https://docs.aws.amazon.com/general/latest/gr/sns.html). It counts the messages of
//! Publish and PublishBatch per second, account and region. AWS can raise it for an account, so
//! `publish.quota_messages_per_second` comes first.

use serde::Serialize;

/// The advertised quota in messages per second, and where the number comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// Messages per second.
    pub messages_per_second: u32,
    /// Where the number comes from.
    pub source: String,
}

impl Quota {
    /// Returns the quota of the configuration.
    pub fn configured(messages_per_second: u32) -> Self {
        Self { messages_per_second, source: "publish.quota_messages_per_second".into() }
    }

    /// Returns the quota that AWS documents for a region, for standard or for FIFO topics.
    pub fn documented(region: &str, fifo: bool) -> Self {
        let messages_per_second = documented(region, fifo);
        let topics = if fifo { "FIFO" } else { "standard" };
        Self { messages_per_second, source: format!("AWS's table for {topics} topics in {region}") }
    }
}

fn documented(region: &str, fifo: bool) -> u32 {
    match (region, fifo) {
        ("us-east-1", _) => 30_000,
        ("us-west-2" | "eu-west-1", _) => 9_000,
        (_, true) => 3_000,
        (
            "us-east-2" | "us-west-1" | "ap-south-1" | "ap-northeast-1" | "ap-northeast-2" | "ap-southeast-1"
            | "ap-southeast-2" | "eu-central-1",
            false,
        ) => 1_500,
        _ => 300,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_depends_on_the_region_and_an_unknown_region_has_the_smallest() {
        for (region, standard, fifo) in [
            ("us-east-1", 30_000, 30_000),
            ("eu-west-1", 9_000, 9_000),
            ("eu-central-1", 1_500, 3_000),
            ("eu-north-1", 300, 3_000),
            ("mars-1", 300, 3_000),
        ] {
            assert_eq!(documented(region, false), standard, "{region}");
            assert_eq!(documented(region, true), fifo, "{region}");
        }
    }
}
