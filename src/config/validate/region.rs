//! The rule that queues and topics are in the region that protobridge calls.

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

/// Calls go to the endpoint of `aws.region`, whatever region the URL or the ARN names. A queue or a topic of another
/// region does not exist there.
fn in_region(config: &Config, region: Option<&str>) -> Result<(), names::Error> {
    match (&config.aws.region, &config.aws.endpoint_url, region) {
        (Some(ours), None, Some(region)) if ours != region => {
            Err(names::Error::OtherRegion { found: region.to_owned(), configured: ours.clone() })
        }
        _ => Ok(()),
    }
}
