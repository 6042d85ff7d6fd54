//! The syntax of URLs, ARNs and names. Nothing here asks AWS whether they exist.

pub(super) const EXAMPLE_QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/events";
pub(super) const EXAMPLE_TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:events";

/// The reason why a URL, an ARN or a name is refused. It displays as the message of a
/// [`Problem`](strict_config::Problem).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not the ARN of an SNS topic.
    #[error("is not the ARN of an SNS topic such as `{EXAMPLE_TOPIC}`")]
    NotATopicArn,
    /// The topic's ARN has no partition or no region.
    #[error("lacks the partition or the region; a topic's ARN looks like `{EXAMPLE_TOPIC}`")]
    PartitionOrRegion,
    /// The topic's ARN has no account number.
    #[error("has no account number of 12 digits; a topic's ARN looks like `{EXAMPLE_TOPIC}`")]
    Account,
    /// SNS allows no topic of this name.
    #[error("ends in an invalid topic name; allowed are letters, digits, `-` and `_`, at most 256")]
    TopicName,
    /// The text is neither a full name nor a glob.
    #[error("{0:?} is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`")]
    TypeGlob(String),
    /// The template has no place for the customer's id.
    #[error("lacks `{{customer}}`, as in `{EXAMPLE_TOPIC}-{{customer}}`")]
    NoPlaceholder,
    /// The template has several places for the customer's id.
    #[error("has `{{customer}}` more than once")]
    RepeatedPlaceholder,
    /// The template has the customer's id in another part of the ARN.
    #[error("has `{{customer}}` outside the topic's name; expected `{EXAMPLE_TOPIC}-{{customer}}`")]
    PlaceholderOutsideName,
    /// The text is the ARN of a queue.
    #[error("is an ARN; the queue's URL is `{url}`")]
    QueueArn {
        /// The URL of the queue.
        url: String,
    },
    /// The text is the ARN of something that is not a queue.
    #[error("is an ARN; expected the queue's URL, such as `{EXAMPLE_QUEUE}`")]
    OtherArn,
    /// The text is not an `http` or `https` URL that ends in a name.
    #[error("is not a queue's URL such as `{EXAMPLE_QUEUE}`")]
    NotAQueueUrl,
    /// The queue or the topic is not in the region that protobridge calls.
    #[error("is in {found}, but protobridge calls AWS in {called} (`aws.region`); one process serves one region")]
    OtherRegion {
        /// The region of the queue or the topic.
        found: String,
        /// The region that protobridge calls.
        called: String,
    },
    /// The topic is in a partition that the region is not in.
    #[error(
        "is in the partition {found}, but the region {region} is in {expected}; an ARN there begins with `arn:{expected}:`"
    )]
    OtherPartition {
        /// The partition of the topic.
        found: String,
        /// The region that protobridge calls.
        region: String,
        /// The partition of that region.
        expected: &'static str,
    },
}

/// Checks that `text` is the ARN of an SNS topic.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn topic_arn(text: &str) -> Result<(), Error> {
    let parts: Vec<_> = text.split(':').collect();
    let ["arn", partition, "sns", region, account, name] = parts.as_slice() else {
        return Err(Error::NotATopicArn);
    };
    if !is_name(partition) || !is_name(region) {
        return Err(Error::PartitionOrRegion);
    }
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Account);
    }
    // https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    if stem.is_empty() || name.len() > 256 || !stem.bytes().all(|byte| is_word(byte) || byte == b'-') {
        return Err(Error::TopicName);
    }
    Ok(())
}

/// Checks that `text` is a glob of message types: a full name in which `*` matches any run of characters.
///
/// # Errors
///
/// Returns an error if it is not.
pub fn type_glob(text: &str) -> Result<(), Error> {
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| is_word(byte) || byte == b'*');
    if text.split('.').all(is_segment) {
        return Ok(());
    }
    Err(Error::TypeGlob(text.to_owned()))
}

/// Checks that `template` is the ARN of an SNS topic with one `{customer}` in the topic's name.
pub(super) fn topic_template(template: &str) -> Result<(), Error> {
    match template.matches("{customer}").count() {
        0 => return Err(Error::NoPlaceholder),
        1 => {}
        _ => return Err(Error::RepeatedPlaceholder),
    }
    let (arn, name) = template.rsplit_once(':').unwrap_or_default();
    if !name.contains("{customer}") {
        return Err(Error::PlaceholderOutsideName);
    }
    topic_arn(&format!("{arn}:{}", name.replace("{customer}", "x")))
}

/// Checks that `url` is the URL of a queue.
pub(super) fn queue_url(url: &str) -> Result<(), Error> {
    if let Some(arn) = url.strip_prefix("arn:") {
        let parts: Vec<_> = arn.split(':').collect();
        let ["aws", "sqs", region, account, name] = parts.as_slice() else {
            return Err(Error::OtherArn);
        };
        return Err(Error::QueueArn { url: format!("https://sqs.{region}.amazonaws.com/{account}/{name}") });
    }
    let name = host_and_path(url).and_then(|(_, path)| path.rsplit_once('/')).map(|(_, name)| name);
    if name.is_some_and(|name| !name.is_empty()) {
        return Ok(());
    }
    Err(Error::NotAQueueUrl)
}

/// Returns the host (with its port) and the path of an `http` or `https` URL, or `None` for any other text. The path is
/// empty or starts with `/`.
pub(crate) fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_clean = !url.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#'));
    (is_clean && !host.is_empty()).then_some((host, path))
}

/// Whether `name` is a full name such as `shop.v1.OrderPlaced`, or a field path such as `meta.tenant_id`: words that
/// dots separate.
pub fn is_dotted(name: &str) -> bool {
    name.split('.').all(|part| {
        part.bytes().all(is_word) && !part.is_empty() && !part.starts_with(|first: char| first.is_ascii_digit())
    })
}

/// Whether `text` can be the name of a region or of a partition.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether `name` can be the name of a message attribute:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
pub(super) fn is_attribute(name: &str) -> bool {
    let is_allowed = name.bytes().all(|byte| is_word(byte) || matches!(byte, b'-' | b'.'));
    is_allowed && !name.is_empty() && name.len() <= 256
}

/// Whether `name` can be the name of a bucket:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(super) fn is_bucket(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (3..=63).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
