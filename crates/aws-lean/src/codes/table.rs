//! The error codes of SNS, SQS, S3 and KMS.
//!
//! The codes are those of the service models and of
//! <https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html>,
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use super::Row;
use crate::FailureKind::{self, Broken, Denied, KeyThrottled, NotFound, Refused, Throttled, Transient};

const fn row(kind: FailureKind, reason: &'static str, codes: &'static [&'static str]) -> Row {
    Row { kind, reason, codes }
}

/// The known conditions. Each code occurs once.
pub(crate) const ROWS: &[Row] = &[
    // The caller sends too fast.
    row(Throttled, "SNS names the quota of publishes like this", &["Throttled"]),
    row(Throttled, "the account exceeds a quota of calls", &["Throttling", "TooManyRequests"]),
    row(Throttled, "SQS names its quota of calls like this", &["RequestThrottled"]),
    row(Throttled, "too many messages of the queue are in flight; deleting some ends it", &["OverLimit"]),
    row(Throttled, "S3 asks for fewer requests", &["SlowDown", "503SlowDown", "RequestLimitExceeded"]),
    row(
        KeyThrottled,
        "KMS limits the calls for the key; queues and topics with other keys are not affected",
        &["KMSThrottling", "KMS.Throttling", "KmsThrottling", "KmsThrottled"],
    ),
    // The service failed, or the condition passes by itself.
    row(Transient, "the service failed", &["InternalError", "InternalFailure", "InternalServerError"]),
    row(Transient, "the service is overloaded or under maintenance", &["ServiceUnavailable"]),
    row(Transient, "the request took too long to arrive", &["RequestTimeout"]),
    row(Transient, "the connection ended during the request", &["RequestAborted", "IncompleteBody"]),
    row(Transient, "the content changed on its way", &["BadDigest", "XAmzContentSHA256Mismatch"]),
    row(Transient, "another request changes the same resource", &["ConcurrentAccess", "OperationAborted"]),
    row(Transient, "the service does not allow it again for 60 s", &["PurgeQueueInProgress", "QueueDeletedRecently"]),
    row(Transient, "the resource was created a moment ago under the name of a deleted one", &["StaleTag"]),
    row(Transient, "the DNS of a new bucket is not complete yet", &["TemporaryRedirect", "Redirect"]),
    // Credentials or a policy.
    row(Denied, "a policy does not allow the call", &["AccessDenied", "AuthorizationError", "NotAuthorized"]),
    row(Denied, "a policy does not allow the call", &["AllAccessDisabled", "UnauthorizedAccess", "TagPolicy"]),
    row(
        Denied,
        "a policy does not allow the use of the key",
        &["KMSAccessDenied", "KMS.AccessDenied", "KmsAccessDenied"],
    ),
    row(
        Denied,
        "AWS does not know the access key",
        &["InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId", "KMS.UnrecognizedClient"],
    ),
    row(
        Denied,
        "the session of the credentials ended",
        &["ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired"],
    ),
    row(
        Denied,
        "the request has no signature, or a wrong one",
        &[
            "SignatureDoesNotMatch",
            "InvalidSignature",
            "IncompleteSignature",
            "MissingAuthenticationToken",
            "MissingSecurityHeader",
            "InvalidSecurity",
        ],
    ),
    row(Denied, "the clock of this machine is wrong", &["RequestTimeTooSkewed"]),
    row(
        Denied,
        "the account is not allowed to use the service",
        &["OptInRequired", "SubscriptionRequired", "NotSignedUp", "AccountProblem"],
    ),
    // The queue, topic, bucket or object does not exist.
    row(NotFound, "the topic does not exist", &["NotFound", "ResourceNotFound"]),
    row(NotFound, "the queue does not exist", &["QueueDoesNotExist", "NonExistentQueue"]),
    row(NotFound, "the bucket does not exist", &["NoSuchBucket"]),
    row(NotFound, "the object does not exist", &["NoSuchKey", "NoSuchVersion"]),
    // The destination, its key or its address is in a state in which it accepts nothing.
    row(Broken, "an operator disabled the key", &["KMSDisabled", "KMS.Disabled", "KmsDisabled"]),
    row(
        Broken,
        "the key is pending deletion or not available",
        &["KMSInvalidState", "KMS.InvalidState", "KmsInvalidState", "KMS.KMSInvalidState"],
    ),
    row(Broken, "the key does not exist", &["KMSNotFound", "KMS.NotFound", "KmsNotFound"]),
    row(Broken, "the account cannot use KMS", &["KMSOptInRequired", "KMS.OptInRequired", "KmsOptInRequired"]),
    row(Broken, "the key is not for encryption", &["KMSInvalidKeyUsage", "KMS.InvalidKeyUsage", "KmsInvalidKeyUsage"]),
    row(
        Broken,
        "an operator or the platform disabled the destination",
        &["EndpointDisabled", "PlatformApplicationDisabled", "OptedOut"],
    ),
    row(Broken, "the destination is in a state without this operation", &["InvalidState", "UnsupportedOperation"]),
    row(
        Broken,
        "the service at the address does not know the operation: the address is that of another service",
        &["InvalidAction", "MissingAction", "UnknownOperation", "NotImplemented", "MethodNotAllowed"],
    ),
    row(
        Broken,
        "the address of the queue, topic or bucket is wrong",
        &["InvalidAddress", "InvalidBucketName", "InvalidHostHeader", "EndpointNotFound", "UnsupportedProtocol"],
    ),
    row(
        Broken,
        "the bucket is in another region",
        &["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"],
    ),
    row(Broken, "the object is archived; an operator can restore it", &["InvalidObjectState"]),
    row(
        Broken,
        "the account or the topic is at a limit that an operator can raise",
        &[
            "TopicLimitExceeded",
            "SubscriptionLimitExceeded",
            "FilterPolicyLimitExceeded",
            "ReplayLimitExceeded",
            "TagLimitExceeded",
        ],
    ),
    // The request itself.
    row(
        Refused,
        "a parameter is not valid",
        &[
            "InvalidParameter",
            "InvalidParameterValue",
            "ParameterValueInvalid",
            "InvalidParameterCombination",
            "InvalidQueryParameter",
            "InvalidArgument",
            "MissingParameter",
            "MissingRequiredParameter",
            "UserError",
            "Validation",
            "ValidationError",
            "Verification",
        ],
    ),
    row(Refused, "the body has a character that the service does not allow", &["InvalidMessageContents"]),
    row(Refused, "the request is too large", &["BatchRequestTooLong", "RequestEntityTooLarge", "KeyTooLongError"]),
    row(
        Refused,
        "the batch is not built well",
        &["EmptyBatchRequest", "TooManyEntriesInBatchRequest", "BatchEntryIdsNotDistinct", "InvalidBatchEntryId"],
    ),
    row(Refused, "an attribute is not valid", &["InvalidAttributeName", "InvalidAttributeValue"]),
    row(
        Refused,
        "the receipt handle is stale or not valid",
        &["ReceiptHandleIsInvalid", "InvalidIdFormat", "MessageNotInflight"],
    ),
    row(Refused, "a queue with this name has other attributes", &["QueueAlreadyExists", "QueueNameExists"]),
    row(
        Refused,
        "the service cannot read the request",
        &[
            "MalformedQueryString",
            "MalformedHttpRequest",
            "MalformedInput",
            "InvalidHttpRequest",
            "InvalidRequest",
            "InvalidURI",
            "Serialization",
        ],
    ),
];
