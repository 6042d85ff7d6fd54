use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::aws::scripted::{Call, Calls, clients, sns_error, sqs_batch};
use crate::config::Queue;
use crate::route::{ClaimCheckMode, Customer, Router};
use crate::telemetry::{Metrics, Operation};

const ORDERS: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";
const QUARANTINE: &str = "arn:aws:sqs:eu-west-1:123456789012:quarantine";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";
const EXISTS: &str = "<GetTopicAttributesResponse><GetTopicAttributesResult/></GetTopicAttributesResponse>";
const POLICY: &str = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead","maxReceiveCount":20}"#;

fn config() -> Config {
    let url = |name: &str| format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}");
    let queue = Queue { url: url("orders"), quarantine_url: Some(url("quarantine")), ..Queue::default() };
    Config { queues: vec![queue], ..Config::default() }
}

/// Returns the answer of AWS to a caller with every permission.
fn granted(call: &Call) -> (u16, String) {
    match call.operation.as_str() {
        "GetQueueAttributes" if call.count("/quarantine") > 0 => attributes(&[("MessageRetentionPeriod", "1209600")]),
        "GetQueueAttributes" => attributes(&[("RedrivePolicy", POLICY), ("MessageRetentionPeriod", "345600")]),
        "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
            sqs_batch(call, &[(0, "ReceiptHandleIsInvalid", true)])
        }
        "SendMessageBatch" => sqs_error(400, "EmptyBatchRequest"),
        "GetTopicAttributes" => (200, EXISTS.to_owned()),
        "PublishBatch" => sns_error(400, "EmptyBatchRequest"),
        _ => (200, "{}".to_owned()),
    }
}

fn attributes(of_queue: &[(&str, &str)]) -> (u16, String) {
    let attributes: serde_json::Map<_, _> =
        of_queue.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    (200, serde_json::json!({"Attributes": attributes}).to_string())
}

fn denied(call: &Call) -> (u16, String) {
    match call.body.starts_with("Action=") {
        true => sns_error(403, "AuthorizationError"),
        false => sqs_error(403, "AccessDeniedException"),
    }
}

fn sqs_error(status: u16, code: &str) -> (u16, String) {
    (status, serde_json::json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "scripted"}).to_string())
}

struct Report {
    proofs: Vec<(&'static str, String, ProofResult)>,
    findings: Vec<Finding>,
    calls: Calls,
}

impl Report {
    async fn new(
        config: Config,
        receives: Receives,
        answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let (clients, calls) = clients(move |call, _| answer(call));
        let Preflight { proofs, findings, .. } = Preflight::run(&clients, &config, &[TOPIC.into()], receives).await;
        let proofs = proofs.into_iter().map(|proof| (proof.action, proof.resource, proof.result)).collect();
        Self { proofs, findings, calls }
    }

    fn result(&self, action: &str, resource: &str) -> ProofResult {
        let found = self.proofs.iter().find(|proof| proof.0 == action && proof.1 == resource);
        found.unwrap_or_else(|| panic!("{action} on {resource} is not in {:?}", self.proofs)).2
    }

    fn texts(&self, severity: Severity) -> Vec<String> {
        let found = self.findings.iter().filter(|finding| finding.severity == severity);
        found.map(ToString::to_string).collect()
    }

    fn bodies(&self, operation: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.operation == operation).map(|call| call.body.clone()).collect()
    }
}

#[tokio::test]
async fn calls_without_an_effect_prove_the_permissions_that_they_can_prove() {
    let report = Report::new(config(), Receives::None, granted).await;
    for (action, resource, result) in [
        ("sqs:GetQueueAttributes", ORDERS, ProofResult::Proven),
        ("sqs:DeleteMessage", ORDERS, ProofResult::Proven),
        ("sqs:ChangeMessageVisibility", ORDERS, ProofResult::Proven),
        ("sqs:ReceiveMessage", ORDERS, ProofResult::Unproven),
        ("sqs:GetQueueAttributes", QUARANTINE, ProofResult::Proven),
        ("sqs:SendMessage", QUARANTINE, ProofResult::Unproven),
        ("sns:GetTopicAttributes", TOPIC, ProofResult::Proven),
        ("sns:Publish", TOPIC, ProofResult::Unproven),
    ] {
        assert_eq!(report.result(action, resource), result, "{action} on {resource}");
    }
    assert_eq!(report.proofs.len(), 8, "{:?}", report.proofs);
    assert_eq!((report.texts(Severity::Error), report.texts(Severity::Warning)), (vec![], vec![]));
    // No call stores, publishes or receives anything, whatever AWS checks first.
    assert_eq!(report.bodies("ReceiveMessage"), [""; 0]);
    assert!(report.bodies("SendMessageBatch").iter().all(|body| body.contains(r#""Entries":[]"#)));
    assert!(report.bodies("PublishBatch").iter().all(|body| !body.contains("member")));
    for body in [report.bodies("DeleteMessageBatch"), report.bodies("ChangeMessageVisibilityBatch")].concat() {
        assert!(body.contains(r#""ReceiptHandle":"protobridge-check""#), "{body}");
    }
}

#[tokio::test]
async fn a_receive_on_request_leaves_the_message_visible_and_proves_the_permission() {
    let report = Report::new(config(), Receives::One, granted).await;
    assert_eq!(report.result("sqs:ReceiveMessage", ORDERS), ProofResult::Proven);
    let bodies = report.bodies("ReceiveMessage");
    assert_eq!(bodies.len(), 1);
    for part in [r#""MaxNumberOfMessages":1"#, r#""VisibilityTimeout":0"#, r#""WaitTimeSeconds":0"#] {
        assert!(bodies[0].contains(part), "{}", bodies[0]);
    }
}

#[tokio::test]
async fn a_role_that_lacks_one_action_fails_and_the_error_names_the_action_and_the_resource() {
    for (operation, action, resources) in [
        ("GetQueueAttributes", "sqs:GetQueueAttributes", vec![ORDERS, QUARANTINE]),
        ("DeleteMessageBatch", "sqs:DeleteMessage", vec![ORDERS]),
        ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility", vec![ORDERS]),
        ("ReceiveMessage", "sqs:ReceiveMessage", vec![ORDERS]),
        ("SendMessageBatch", "sqs:SendMessage", vec![QUARANTINE]),
        ("GetTopicAttributes", "sns:GetTopicAttributes", vec![TOPIC]),
        ("PublishBatch", "sns:Publish", vec![TOPIC]),
    ] {
        let answer = move |call: &Call| if call.operation == operation { denied(call) } else { granted(call) };
        let report = Report::new(config(), Receives::One, answer).await;
        let errors = report.texts(Severity::Error);
        assert_eq!(errors.len(), resources.len(), "{operation}: {errors:?}");
        for (resource, error) in resources.into_iter().zip(errors) {
            assert_eq!(report.result(action, resource), ProofResult::Denied, "{operation}");
            let (problem, way_out) =
                (format!("{action} on {resource} is denied: "), format!("allow {action} on {resource}"));
            assert!(error.contains(&problem) && error.contains(&way_out), "{error}");
            assert!(error.contains("`protobridge iam-policy`") && error.contains("docs/iam.md"), "{error}");
        }
        let denials = report.proofs.iter().filter(|proof| proof.2 == ProofResult::Denied).count();
        assert_eq!(denials, report.texts(Severity::Error).len(), "{operation}: {:?}", report.proofs);
    }
}

#[tokio::test]
async fn a_role_without_any_permission_fails_on_each_action_that_is_asked_for() {
    let report = Report::new(config(), Receives::None, denied).await;
    let denials = report.proofs.iter().filter(|proof| proof.2 == ProofResult::Denied).count();
    assert_eq!((denials, report.texts(Severity::Error).len()), (7, 7), "{:?}", report.findings);
    let unknown = report.texts(Severity::Warning);
    assert!(unknown.len() == 1 && unknown[0].contains("its redrive policy is unknown"), "{unknown:?}");
}

#[tokio::test]
async fn credentials_that_are_not_valid_cause_one_error_per_resource() {
    let report = Report::new(config(), Receives::None, |call| match call.body.starts_with("Action=") {
        true => sns_error(403, "InvalidClientTokenId"),
        false => sqs_error(403, "InvalidClientTokenId"),
    });
    let errors = report.await.texts(Severity::Error);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors.iter().all(|error| error.contains("check the credentials")), "{errors:?}");
}

#[tokio::test]
async fn a_missing_queue_is_one_error_and_the_other_resources_are_asked_for() {
    let report = Report::new(config(), Receives::One, |call| match call.count("/orders") {
        0 => granted(call),
        _ => sqs_error(400, "QueueDoesNotExist"),
    });
    let report = report.await;
    let errors = report.texts(Severity::Error);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(&format!("queues[0].url: {ORDERS}: ")), "{errors:?}");
    assert!(errors[0].contains("; create it, or correct `queues[0].url`"), "{errors:?}");
    assert_eq!(report.result("sqs:DeleteMessage", ORDERS), ProofResult::Unproven);
    assert_eq!(report.result("sqs:GetQueueAttributes", QUARANTINE), ProofResult::Proven);
    assert_eq!(report.result("sns:GetTopicAttributes", TOPIC), ProofResult::Proven);
    assert_eq!(report.bodies("ReceiveMessage"), [""; 0], "a missing queue is not asked again");
}

#[tokio::test]
async fn a_missing_quarantine_queue_and_a_missing_topic_are_errors() {
    let report = Report::new(config(), Receives::None, |call| match call.operation.as_str() {
        "GetQueueAttributes" if call.count("/quarantine") > 0 => sqs_error(400, "QueueDoesNotExist"),
        "GetTopicAttributes" => sns_error(404, "NotFound"),
        _ => granted(call),
    });
    let errors = report.await.texts(Severity::Error);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with(&format!("queues[0].quarantine_url: {QUARANTINE}: ")), "{errors:?}");
    assert!(errors[1].starts_with(&format!("route.customers_file: {TOPIC}: NotFound")), "{errors:?}");
}

#[tokio::test]
async fn a_queue_without_a_redrive_policy_is_a_warning_that_names_the_number_to_set() {
    let report = Report::new(config(), Receives::None, |call| match call.operation.as_str() {
        "GetQueueAttributes" => (200, "{}".to_owned()),
        _ => granted(call),
    });
    let warnings = report.await.texts(Severity::Warning);
    assert_eq!(warnings.len(), 1, "the quarantine queue needs no policy: {warnings:?}");
    assert!(warnings[0].starts_with("queues[0].url: queue orders: no redrive policy: "), "{warnings:?}");
    assert!(warnings[0].ends_with("with a maxReceiveCount of 17 or more"), "{warnings:?}");
}

#[tokio::test]
async fn a_quarantine_queue_must_count_no_looks_and_should_keep_messages_for_long() {
    let findings = async |of_quarantine: &'static [(&'static str, &'static str)]| {
        let report = Report::new(config(), Receives::None, |call| match call.operation.as_str() {
            "GetQueueAttributes" if call.count("/quarantine") > 0 => attributes(of_quarantine),
            _ => granted(call),
        });
        let report = report.await;
        [Severity::Warning, Severity::Info].map(|severity| {
            let texts = report.texts(severity);
            texts.into_iter().filter(|text| text.starts_with("queues[0].quarantine_url: ")).collect::<Vec<_>>()
        })
    };
    assert_eq!(findings(&[("MessageRetentionPeriod", "1209600")]).await, [[""; 0], [""; 0]]);
    let [warnings, infos] = findings(&[("RedrivePolicy", POLICY), ("MessageRetentionPeriod", "345600")]).await;
    assert!(warnings[0].ends_with("; remove the redrive policy of this queue"), "{warnings:?}");
    assert!(infos[0].contains("for 4 days") && infos[0].ends_with("1209600 (14 days)"), "{infos:?}");
    assert_eq!((warnings.len(), infos.len()), (1, 1));
}

#[tokio::test]
async fn the_permissions_for_a_kms_key_are_listed_as_not_proven() {
    let key = "alias/orders";
    let report = Report::new(config(), Receives::None, move |call| match call.operation.as_str() {
        "GetQueueAttributes" => {
            (200, serde_json::json!({"Attributes": {"KmsMasterKeyId": key, "RedrivePolicy": POLICY}}).to_string())
        }
        _ => granted(call),
    });
    let report = report.await;
    let of_key: Vec<_> = report.proofs.iter().filter(|proof| proof.1 == key).collect();
    assert!(of_key.iter().all(|proof| proof.2 == ProofResult::Unproven), "{of_key:?}");
    let actions: Vec<_> = of_key.iter().map(|proof| proof.0).collect();
    assert_eq!(actions, ["kms:Decrypt", "kms:GenerateDataKey", "kms:Decrypt"]);
}

#[tokio::test]
async fn a_denied_check_of_topics_is_no_error_if_the_service_makes_none() {
    let mut config = config();
    config.route.check_topics = false;
    let answer = |call: &Call| if call.operation == "GetTopicAttributes" { denied(call) } else { granted(call) };
    let report = Report::new(config.clone(), Receives::None, answer).await;
    assert_eq!(report.texts(Severity::Error), [""; 0]);
    assert_eq!(report.result("sns:GetTopicAttributes", TOPIC), ProofResult::Unproven);
    assert_eq!(report.bodies("PublishBatch").len(), 1, "the topic is asked for `sns:Publish` all the same");
}

#[tokio::test]
async fn a_bucket_that_denies_an_object_is_an_error() {
    let mut config = config();
    config.envelope.s3_buckets = vec!["large".to_owned()];
    let answer = |code: &'static str, status| {
        move |call: &Call| match call.operation.as_str() {
            "" => (status, format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>")),
            _ => granted(call),
        }
    };
    let resource = "arn:aws:s3:::large";
    let report = Report::new(config.clone(), Receives::None, answer("NoSuchKey", 404)).await;
    assert_eq!(report.texts(Severity::Error), [""; 0]);
    assert_eq!(report.result("s3:GetObject", &format!("{resource}/*")), ProofResult::Proven);
    assert_eq!(report.result("s3:ListBucket", resource), ProofResult::Proven);
    let report = Report::new(config.clone(), Receives::None, answer("AccessDenied", 403)).await;
    let errors = report.texts(Severity::Error);
    assert_eq!(errors.len(), 1, "{errors:?}");
    let expected = format!("s3:GetObject on {resource}/* or s3:ListBucket on {resource} is denied");
    assert!(errors[0].contains(&expected), "{errors:?}");
    assert_eq!(report.result("s3:GetObject", &format!("{resource}/*")), ProofResult::Denied);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_made_again() {
    let asked = AtomicUsize::new(0);
    let report = Report::new(config(), Receives::None, move |call| match call.operation.as_str() {
        "GetTopicAttributes" if asked.fetch_add(1, Ordering::Relaxed) < 2 => sns_error(429, "Throttled"),
        _ => granted(call),
    });
    assert_eq!(report.await.result("sns:GetTopicAttributes", TOPIC), ProofResult::Proven);
}

#[tokio::test(start_paused = true)]
async fn a_missing_quarantine_queue_is_sought_until_it_exists() {
    let (clients, calls) = clients(|_, number| match number {
        0..4 => sqs_error(400, "QueueDoesNotExist"),
        _ => (200, "{}".to_owned()),
    });
    let metrics = Arc::new(Metrics::new(false));
    find_quarantine_queues(clients, config(), Arc::clone(&metrics)).await;
    assert_eq!(calls.lock().unwrap().len(), 5);
    let counted = metrics.calls.sum_where(|labels| labels.operation == Operation::GetQueueAttributes);
    assert_eq!(counted, 5);
}

#[tokio::test]
async fn the_permissions_of_the_canary_are_asked_for_on_its_own_queues_and_topic() {
    let back = "arn:aws:sqs:eu-west-1:123456789012:return";
    let with_canary = || {
        let mut config = config();
        config.canary.topic = Some(TOPIC.into());
        config.canary.return_queue_url = Some("https://sqs.eu-west-1.amazonaws.com/123456789012/return".into());
        config
    };
    let report = Report::new(with_canary(), Receives::One, granted).await;
    for (action, resource, result) in [
        ("sqs:SendMessage", ORDERS, ProofResult::Unproven),
        ("sqs:GetQueueAttributes", back, ProofResult::Proven),
        ("sqs:ReceiveMessage", back, ProofResult::Proven),
        ("sqs:DeleteMessage", back, ProofResult::Proven),
        ("sqs:ChangeMessageVisibility", back, ProofResult::Proven),
        ("sns:Publish", TOPIC, ProofResult::Unproven),
    ] {
        assert_eq!(report.result(action, resource), result, "{action} on {resource}");
    }
    assert_eq!(report.texts(Severity::Error), [""; 0]);
    let report = Report::new(with_canary(), Receives::None, denied).await;
    let errors = report.texts(Severity::Error);
    for key in ["canary.queue: sqs:SendMessage on arn:aws:sqs:", "canary.return_queue_url: sqs:", "canary.topic: sns:"]
    {
        assert!(errors.iter().any(|error| error.starts_with(key)), "{key}: {errors:#?}");
    }
}

#[tokio::test]
async fn the_attributes_of_a_topic_say_what_its_size_means_for_its_customer() {
    let (clients, _) = clients(|call, _| match call.operation.as_str() {
        "GetTopicAttributes" => {
            let entry = |(key, value)| format!("<entry><key>{key}</key><value>{value}</value></entry>");
            let all = [("MaximumMessageSize", "1048576"), ("SubscriptionsConfirmed", "2")].map(entry).concat();
            let result = format!("<GetTopicAttributesResult><Attributes>{all}</Attributes></GetTopicAttributesResult>");
            (200, format!("<GetTopicAttributesResponse>{result}</GetTopicAttributesResponse>"))
        }
        _ => granted(call),
    });
    for (mode, advice) in [(ClaimCheckMode::Off, false), (ClaimCheckMode::On, true), (ClaimCheckMode::Always, true)] {
        let config = config();
        let customer = Customer {
            id: "acme".into(),
            topic: TOPIC.into(),
            events: Vec::new(),
            profile: Default::default(),
            enabled: true,
            canary: false,
            claim_check: mode,
        };
        let router = Router::new(&config.route, vec![Arc::new(customer)], []);
        let mut preflight = Preflight::run(&clients, &config, &router.topics(), Receives::None).await;
        preflight.judge_sizes(&router);
        let texts: Vec<_> = preflight.findings.iter().map(ToString::to_string).collect();
        let has = |start: &str| texts.iter().any(|text| text.starts_with(start));
        assert!(has(&format!("publish.max_batch_bytes: {TOPIC} accepts messages of 1048576 bytes")), "{texts:?}");
        let start = "claim_check.over_bytes: customer acme with 2 reader(s): ";
        assert_eq!(has(start), advice, "{mode:?}: {texts:?}");
    }
}
