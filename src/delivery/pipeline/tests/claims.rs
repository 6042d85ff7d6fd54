//! Events with claim checks: their JSON is stored before they are published.

use super::*;

/// Creates a pipeline with the customers acme and bolt, which have claim checks, and with plain, which has none.
fn claims(answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static) -> Stage {
    let mut config = Config::default();
    config.aws.max_attempts = 1;
    config.claim_check.bucket = Some("claims".into());
    stage_of(config, &[("acme", "default"), ("bolt", "default"), ("plain", "default")], answer)
}

fn s3_error(status: u16, code: &str) -> (u16, String) {
    (status, format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

/// Answers every call with success, those of S3 too.
fn stored(call: &Call) -> (u16, String) {
    if call.operation == "PutObject" { (200, String::new()) } else { all_good(call) }
}

/// Answers every call with success, unless it stores an object of bolt.
fn not_for_bolt(call: &Call, status: u16, code: &str) -> (u16, String) {
    if call.operation == "PutObject" && call.uri.contains("/bolt/") { s3_error(status, code) } else { stored(call) }
}

impl Stage {
    /// Returns the calls in order: `PUT CUSTOMER` for each object, and the customers of each publish.
    fn story(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let of_call = |call: &Call| match call.operation.as_str() {
            "PutObject" => format!("PUT {}", call.uri.split('/').nth(4).unwrap()),
            "PublishBatch" => {
                let customers = ["acme", "bolt", "plain"];
                let customer = customers.into_iter().find(|customer| destinations::is_to(call, customer)).unwrap();
                let is_pointer = call.body.contains("PayloadS3Pointer");
                assert_eq!(is_pointer, customer != "plain", "{}", call.body);
                format!("publish {customer}")
            }
            operation => operation.to_owned(),
        };
        calls.iter().map(of_call).collect()
    }

    fn story_of(&self, customer: &str) -> Vec<String> {
        self.story().into_iter().filter(|call| call.ends_with(customer)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_json_of_each_customer_is_stored_before_its_pointer_is_published() {
    let stage = claims(stored);
    stage.process(vec![heartbeat(queue(false, true), None)]).await;
    for customer in ["acme", "bolt"] {
        assert_eq!(stage.story_of(customer), [format!("PUT {customer}"), format!("publish {customer}")]);
    }
    assert_eq!(stage.story_of("plain"), ["publish plain"]);
    assert_eq!(stage.outcome(OutcomeLabel::Published), 1);
    let text = stage.metrics.render();
    assert!(
        text.lines().any(|line| line == "protobridge_in_flight_bytes 0"),
        "the JSON is counted once and ends: {text}"
    );
    let stored: Vec<String> = {
        let calls = stage.calls.lock().unwrap();
        calls.iter().filter(|call| call.operation == "PutObject").map(|call| call.body.clone()).collect()
    };
    assert_eq!(stored, [r#"{"source":"a"}"#, r#"{"source":"a"}"#]);
}

fn event(id: &str) -> Message {
    let attributes = [("message-type", "protobridge.v1.Heartbeat"), ("event-id", id)];
    Message { message_id: id.into(), ..Message::for_tests(queue(false, true), "CgFh", &attributes, None) }
}

/// Processes two events. The bucket takes an object of the second one after it failed for the first one, and nothing after
/// it failed for the second one.
async fn process_two(stage: &Stage) {
    stage.process(vec![event("m-1"), event("m-2")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_put_retries_its_own_destination_only() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_failing = Arc::clone(&failing);
    let stage = claims(move |call| match is_failing.load(std::sync::atomic::Ordering::Relaxed) {
        true => not_for_bolt(call, 500, "InternalError"),
        false => stored(call),
    });
    process_two(&stage).await;
    let retried = |cause| stage.metrics.retried.sum_where(|labels| labels.cause == cause);
    assert_eq!((stage.outcome(OutcomeLabel::Retried), retried(RetryCause::ClaimStore)), (2, 1));
    assert!(stage.story_of("bolt").iter().all(|call| call == "PUT bolt"), "{:?}", stage.story());
    failing.store(false, std::sync::atomic::Ordering::Relaxed);
    stage.calls.lock().unwrap().clear();
    stage.process(vec![event("m-1")]).await;
    assert_eq!(stage.outcome(OutcomeLabel::Published), 1);
    let published: Vec<String> = stage.story().into_iter().filter(|call| !call.ends_with("Batch")).collect();
    assert_eq!(published, ["PUT bolt", "publish bolt"], "the others have it, and nothing is stored for them again");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_s3_refuses_is_quarantined_once_the_others_have_the_event() {
    let stage = claims(|call| not_for_bolt(call, 400, "KeyTooLongError"));
    process_two(&stage).await;
    // Nothing follows the second event, so the bucket can be at fault for its refusal, and it waits.
    assert_eq!(stage.metrics.quarantined.sum_where(|labels| labels.reason == QuarantineKind::PublishRefused), 1);
    assert_eq!(stage.outcome(OutcomeLabel::Retried), 1);
    assert!(!stage.story_of("publish acme").is_empty() && stage.story_of("publish bolt").is_empty());
}
