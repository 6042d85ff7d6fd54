use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::*;
use crate::Failure;
use crate::FailureKind::KeyThrottled;

fn kind_of_answer(status: u16, code: Option<&str>) -> FailureKind {
    Failure::of_answer(status, code, String::new(), None).kind
}

/// The codes of each kind but [`Refused`]. A change of a row must be made here, too.
const KINDS: &[(FailureKind, &str)] = &[
    (
        Throttled,
        "503SlowDown OverLimit RequestLimitExceeded RequestThrottled SlowDown Throttled Throttling TooManyRequests",
    ),
    (KeyThrottled, "KMS.Throttling KMSThrottling KmsThrottled KmsThrottling"),
    (
        Transient,
        "BadDigest ConcurrentAccess IncompleteBody InternalError InternalFailure InternalServerError OperationAborted \
         PurgeQueueInProgress QueueDeletedRecently Redirect RequestAborted RequestTimeout ServiceUnavailable StaleTag \
         TemporaryRedirect XAmzContentSHA256Mismatch",
    ),
    (
        Denied,
        "AccessDenied AccountProblem AllAccessDisabled AuthorizationError ExpiredToken IncompleteSignature \
         InvalidAccessKeyId InvalidClientTokenId InvalidSecurity InvalidSignature InvalidToken KMS.AccessDenied \
         KMS.UnrecognizedClient KMSAccessDenied KmsAccessDenied MissingAuthenticationToken MissingSecurityHeader \
         NotAuthorized NotSignedUp OptInRequired RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch \
         SubscriptionRequired TagPolicy TokenRefreshRequired UnauthorizedAccess UnrecognizedClient",
    ),
    (NotFound, "NoSuchBucket NoSuchKey NoSuchVersion NonExistentQueue NotFound QueueDoesNotExist ResourceNotFound"),
    (
        Broken,
        "AuthorizationHeaderMalformed EndpointDisabled EndpointNotFound FilterPolicyLimitExceeded \
         IllegalLocationConstraint InvalidAction InvalidAddress InvalidBucketName InvalidHostHeader \
         InvalidObjectState InvalidState KMS.Disabled KMS.InvalidKeyUsage KMS.InvalidState KMS.KMSInvalidState \
         KMS.NotFound KMS.OptInRequired KMSDisabled KMSInvalidKeyUsage KMSInvalidState KMSNotFound KMSOptInRequired \
         KmsDisabled KmsInvalidKeyUsage KmsInvalidState KmsNotFound KmsOptInRequired MethodNotAllowed MissingAction \
         NotImplemented OptedOut PermanentRedirect PlatformApplicationDisabled ReplayLimitExceeded \
         SubscriptionLimitExceeded TagLimitExceeded TopicLimitExceeded UnknownOperation UnsupportedOperation \
         UnsupportedProtocol",
    ),
    (
        Refused,
        "BatchEntryIdsNotDistinct BatchRequestTooLong EmptyBatchRequest InvalidArgument InvalidAttributeName \
         InvalidAttributeValue InvalidBatchEntryId InvalidHttpRequest InvalidIdFormat InvalidMessageContents \
         InvalidParameter InvalidParameterCombination InvalidParameterValue InvalidQueryParameter InvalidRequest \
         InvalidURI KeyTooLongError MalformedHttpRequest MalformedInput MalformedQueryString MessageNotInflight \
         MissingParameter MissingRequiredParameter ParameterValueInvalid QueueAlreadyExists QueueNameExists \
         ReceiptHandleIsInvalid RequestEntityTooLarge Serialization TooManyEntriesInBatchRequest UserError Validation \
         ValidationError Verification",
    ),
];

#[test]
fn the_table_lists_every_code_once_with_its_kind_and_reason() {
    let codes = || ROWS.iter().flat_map(|row| row.codes);
    assert_eq!(codes().collect::<BTreeSet<_>>().len(), codes().count());
    for (kind, expected) in KINDS {
        let rows = ROWS.iter().filter(|row| row.kind == *kind);
        let found: BTreeSet<_> = rows.flat_map(|row| row.codes.iter().copied()).collect();
        assert_eq!(found, expected.split(' ').collect(), "{kind:?}");
    }
    assert!(ROWS.iter().all(|row| !row.reason.is_empty()));
}

#[test]
fn a_known_code_decides_before_the_status_and_the_sender_fault() {
    for row in ROWS {
        for code in row.codes {
            for sender_fault in [true, false] {
                let kind = Failure::of_entry(code, None, sender_fault).kind;
                assert_eq!(kind, row.kind, "{code}, sender fault {sender_fault}");
            }
            for status in [301, 400, 403, 404, 413, 429, 500] {
                assert_eq!(kind_of_answer(status, Some(code)), row.kind, "{code}, {status}");
            }
        }
    }
}

#[test]
fn every_spelling_of_a_code_has_the_same_kind() {
    for (kind, spellings) in [
        (Broken, "KMSDisabled KMSDisabledException KMS.DisabledException KmsDisabled com.amazonaws.sqs#KmsDisabled"),
        (Broken, "KMS.NotFoundException KmsNotFound KMSNotFound com.amazonaws.sqs#KmsNotFound:http://x/"),
        (KeyThrottled, "KMSThrottling KMSThrottlingException KMS.ThrottlingException com.amazonaws.sqs#KmsThrottled"),
        (Denied, "KMSAccessDenied KMS.AccessDeniedException KmsAccessDenied AccessDeniedException"),
        (NotFound, "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist com.amazonaws.sqs#QueueDoesNotExist"),
        (Broken, "AWS.SimpleQueueService.UnsupportedOperation UnsupportedOperation"),
        (Refused, "AWS.SimpleQueueService.BatchRequestTooLong BatchRequestTooLongException"),
        (Throttled, "ThrottlingException ThrottlingOfANewKind ThrottledException RequestThrottledException"),
        (Broken, "KMSNewState KMS.NewStateException KmsNewState"),
    ] {
        for code in spellings.split(' ') {
            assert_eq!(classify_code(code), Some(kind), "{code}");
        }
    }
    assert_eq!(classify_code("InvalidParameters"), None);
    assert_eq!(classify_code(""), None);
}

#[test]
fn an_answer_without_a_code_says_nothing_about_the_message() {
    for status in [200, 301, 302, 400, 401, 403, 404, 405, 407, 408, 413, 414, 431, 451, 500, 502, 503, 504] {
        assert_eq!(kind_of_answer(status, None), Transient, "{status}");
    }
    assert_eq!(kind_of_answer(429, None), Throttled);
}

#[test]
fn an_unknown_code_is_classified_by_its_status() {
    for (status, expected) in [
        (400, Refused),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (408, Transient),
        (413, Refused),
        (422, Refused),
        (429, Throttled),
        (500, Transient),
        (503, Transient),
    ] {
        assert_eq!(kind_of_answer(status, Some("New")), expected, "{status}");
    }
}

/// A new version of the SDK can bring new codes. Each needs a row with a reason, because the default for an unknown
/// code blames the message.
#[test]
fn every_error_of_the_service_models_has_a_kind() {
    for (package, known) in [("aws-sdk-sns", "KMSDisabled"), ("aws-sdk-sqs", "KMS.DisabledException")] {
        let names = error_names(&sources(package));
        assert!(names.len() > 40 && names.contains(known), "cannot read the error codes of {package}: {names:?}");
        let unknown: Vec<_> = names.iter().filter(|name| !is_listed(name)).collect();
        assert!(unknown.is_empty(), "add the new error codes of {package} to src/codes/table.rs: {unknown:?}");
    }
}

/// Whether a row names the code. A code that only a prefix covers does not count.
fn is_listed(code: &str) -> bool {
    ROWS.iter().flat_map(|row| row.codes).any(|known| names(code).contains(known))
}

/// Returns the directory of a dependency's sources. Cargo has them, because it has built them for this test.
fn sources(package: &str) -> PathBuf {
    let output = |command: &mut Command| {
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cannot find the sources of {package}: {command:?} failed: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let version = output(Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    // Without the filter, cargo asks for packages of other platforms, which the build has not fetched.
    let metadata = output(Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "metadata",
        "--offline",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        host,
    ]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().expect("the metadata list packages");
    let found = packages.iter().find(|found| found["name"] == package).expect("the package is a dependency");
    let sources = PathBuf::from(found["manifest_path"].as_str().unwrap()).with_file_name("src");
    assert!(sources.is_dir(), "the sources of {package} are not in {}", sources.display());
    sources
}

/// Returns the error codes and the names of the error types in the generated code of an SDK.
fn error_names(sources: &std::path::Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in rust_files(&sources.join("protocol_serde")) {
        let arms = text.split("match error_code {").skip(1).filter_map(|rest| rest.split("\n    })").next());
        // The arms of the match itself, not those of nested code.
        let codes = arms.flat_map(str::lines).filter_map(|line| line.strip_prefix("        \"")?.split_once("\" =>"));
        names.extend(codes.map(|(code, _)| code.to_owned()));
    }
    for text in rust_files(&sources.join("types").join("error")) {
        // The text of an error begins with its Rust name, and continues with the model's name if the two differ.
        let text = text.split("::std::write!(f, \"").nth(1).and_then(|rest| rest.split('"').next());
        names.extend(text.into_iter().flat_map(|text| text.split([' ', '[', ']'])).map(str::to_owned));
    }
    names.remove("");
    names
}

fn rust_files(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .map(|p| fs::read_to_string(p).unwrap())
        .collect()
}
