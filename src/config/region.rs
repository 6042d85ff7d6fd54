//! Regions and partitions of AWS, and the rule that queues and topics are in the region that protobridge calls.

use super::names::{Error, host_and_path};

/// Checks that a topic is in the region that protobridge calls, and in its partition. Calls go to the endpoint of that
/// region, whatever the ARN names, also at an endpoint of its own.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn topic_in_region(region: Option<&str>, arn: &str) -> Result<(), Error> {
    let mut parts = arn.split(':').skip(1);
    let (Some(called), Some(found), Some(topic_region)) = (region, parts.next(), parts.nth(1)) else { return Ok(()) };
    in_region(called, topic_region)?;
    let expected = partition(called);
    if found == expected {
        return Ok(());
    }
    Err(Error::OtherPartition { found: found.to_owned(), region: called.to_owned(), expected })
}

/// Checks that a queue is in the region that protobridge calls, if its URL names a region.
pub(super) fn queue_in_region(region: Option<&str>, url: &str) -> Result<(), Error> {
    let found = host_and_path(url).and_then(|(host, _)| of_queue_host(host));
    match (region, found) {
        (Some(called), Some(found)) => in_region(called, found),
        _ => Ok(()),
    }
}

fn in_region(called: &str, found: &str) -> Result<(), Error> {
    if called == found {
        return Ok(());
    }
    Err(Error::OtherRegion { found: found.to_owned(), called: called.to_owned() })
}

/// The reason why a URL does not determine the ARN of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// The text is not a URL.
    #[error("it is not a URL")]
    NotUrl,
    /// The path of the URL has no account number.
    #[error("its path is not /ACCOUNT/NAME with an account number of 12 digits")]
    NoAccount,
    /// No region is known.
    #[error("neither its URL nor the configuration names a region; set `aws.region`")]
    NoRegion,
}

/// Returns the ARN of the queue with this URL. If the URL names no region, as with emulators and private endpoints, the
/// ARN gets `region`.
///
/// # Errors
///
/// Returns an error if the URL has no account number, or if neither it nor `region` names a region.
pub fn queue_arn(url: &str, region: Option<&str>) -> Result<String, ArnError> {
    let (host, path) = host_and_path(url).ok_or(ArnError::NotUrl)?;
    let is_account = |account: &str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let (account, name) = path
        .trim_start_matches('/')
        .split_once('/')
        .filter(|(account, _)| is_account(account))
        .ok_or(ArnError::NoAccount)?;
    let region = of_queue_host(host).or(region).ok_or(ArnError::NoRegion)?;
    Ok(format!("arn:{}:sqs:{region}:{account}:{name}", partition(region)))
}

/// Returns the region in the host of a public endpoint: `sqs.REGION.amazonaws.com`, `sqs-fips.REGION.…`,
/// `sqs.REGION.api.aws`, `VPCE-ID.sqs.REGION.vpce.amazonaws.com`, and the older `REGION.queue.amazonaws.com`.
/// <https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>
pub(crate) fn of_queue_host(host: &str) -> Option<&str> {
    let host = host.split(':').next()?;
    if !["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws"].iter().any(|domain| host.ends_with(domain)) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    if labels.first() == Some(&"queue") {
        return Some("us-east-1");
    }
    let after = labels.iter().position(|label| matches!(*label, "sqs" | "sqs-fips")).map(|at| at + 1);
    let before = labels.iter().position(|label| *label == "queue").map(|at| at - 1);
    after.or(before).and_then(|at| labels.get(at).copied())
}

/// Returns the partition of a region.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
pub(crate) fn partition(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_queue_is_derived_from_its_url() {
        for (url, arn) in [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/events", "arn:aws:sqs:eu-west-1:123456789012:events"),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a", "arn:aws-cn:sqs:cn-north-1:123456789012:a"),
            (
                "https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/a.fifo",
                "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:a.fifo",
            ),
            ("https://eu-west-2.queue.amazonaws.com/123456789012/a", "arn:aws:sqs:eu-west-2:123456789012:a"),
            ("https://queue.amazonaws.com/123456789012/a", "arn:aws:sqs:us-east-1:123456789012:a"),
            ("https://sqs.eu-west-1.api.aws/123456789012/a", "arn:aws:sqs:eu-west-1:123456789012:a"),
            (
                "https://vpce-0a1-b2.sqs.eu-west-3.vpce.amazonaws.com/123456789012/a",
                "arn:aws:sqs:eu-west-3:123456789012:a",
            ),
            ("http://localhost:4566/123456789012/a", "arn:aws:sqs:eu-north-1:123456789012:a"),
        ] {
            assert_eq!(queue_arn(url, Some("eu-north-1")), Ok(arn.to_owned()), "{url}");
        }
        assert_eq!(queue_arn("http://localhost:4566/123456789012/a", None), Err(ArnError::NoRegion));
        assert_eq!(queue_arn("https://sqs.eu-west-1.amazonaws.com/a", None), Err(ArnError::NoAccount));
    }

    fn problem(region: &str, arn: &str) -> String {
        topic_in_region(Some(region), arn).map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }

    #[test]
    fn a_topic_of_another_region_or_partition_is_refused() {
        for (region, place, expected) in [
            ("eu-west-1", "aws:sns:eu-west-1", "none"),
            ("cn-north-1", "aws-cn:sns:cn-north-1", "none"),
            ("us-gov-west-1", "aws-us-gov:sns:us-gov-west-1", "none"),
            ("us-iso-east-1", "aws-iso:sns:us-iso-east-1", "none"),
            ("us-isob-east-1", "aws-iso-b:sns:us-isob-east-1", "none"),
            ("eu-isoe-west-1", "aws-iso-e:sns:eu-isoe-west-1", "none"),
            ("us-isof-south-1", "aws-iso-f:sns:us-isof-south-1", "none"),
            ("eusc-de-east-1", "aws-eusc:sns:eusc-de-east-1", "none"),
            (
                "eu-west-1",
                "aws:sns:us-east-1",
                "is in us-east-1, but protobridge calls AWS in eu-west-1 (`aws.region`); one process serves one region",
            ),
            (
                "cn-north-1",
                "aws:sns:cn-north-1",
                "is in the partition aws, but the region cn-north-1 is in aws-cn; an ARN there begins with `arn:aws-cn:`",
            ),
            (
                "eu-west-1",
                "aws-us-gov:sns:eu-west-1",
                "is in the partition aws-us-gov, but the region eu-west-1 is in aws; an ARN there begins with `arn:aws:`",
            ),
        ] {
            assert_eq!(problem(region, &format!("arn:{place}:123456789012:events")), expected, "{region}");
        }
        assert_eq!(topic_in_region(None, "arn:aws:sns:us-east-1:123456789012:events"), Ok(()));
    }

    #[test]
    fn a_queue_of_another_region_is_refused_if_its_url_names_the_region() {
        for host in [
            "sqs.us-east-1.amazonaws.com",
            "sqs-fips.us-east-1.amazonaws.com",
            "sqs.us-east-1.api.aws",
            "vpce-1.sqs.us-east-1.vpce.amazonaws.com",
            "us-east-1.queue.amazonaws.com",
            "queue.amazonaws.com",
        ] {
            let url = format!("https://{host}/123456789012/events");
            assert_eq!(queue_in_region(Some("us-east-1"), &url), Ok(()), "{host}");
            let called = "eu-west-1".to_owned();
            let error = Error::OtherRegion { found: "us-east-1".to_owned(), called };
            assert_eq!(queue_in_region(Some("eu-west-1"), &url), Err(error), "{host}");
        }
        assert_eq!(queue_in_region(Some("eu-west-1"), "http://localhost:4566/000000000000/events"), Ok(()));
    }
}
