//! The region of queues and topics.

use crate::config::Config;
use crate::config::names::{self, host_and_path};

pub(super) fn queue_in_region(config: &Config, url: &str) -> Result<(), names::Error> {
    let host = host_and_path(url).map_or("", |(host, _)| host);
    let region = host.strip_prefix("sqs.").and_then(|rest| rest.split_once(".amazonaws.com")).map(|(region, _)| region);
    in_region(config, region)
}

pub(super) fn topic_in_region(config: &Config, arn: &str) -> Result<(), names::Error> {
    in_region(config, arn.split(':').nth(3))
}

/// A call goes to the endpoint of `aws.region`, whatever the URL or the ARN says, and would find nothing there.
fn in_region(config: &Config, region: Option<&str>) -> Result<(), names::Error> {
    match (&config.aws.region, &config.aws.endpoint_url, region) {
        (Some(ours), None, Some(region)) if ours != region => {
            Err(names::Error::OtherRegion { found: region.to_owned(), configured: ours.clone() })
        }
        _ => Ok(()),
    }
}
