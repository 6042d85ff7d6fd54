//! What each result says about the calls that its entry was part of.

use std::sync::Mutex;

use super::*;

type Answer = (u16, String);

/// What a result says: the message id or the error code, attempts, throttles, and the request id.
type Told = (String, u32, u32, Option<String>);

fn told(result: &Result<Confirmed, Error>) -> Told {
    let (outcome, trail) = match result {
        Ok(confirmed) => (confirmed.message_id(), confirmed.trail()),
        Err(error) => (error.code(), error.trail()),
    };
    (outcome.to_owned(), trail.attempts, trail.throttles, trail.request_id.clone())
}

/// Publishes entries together. The first calls get these answers, each further one accepts every entry. Checks that
/// each result names a time after the answer of the entry's last call, which is the last call of all.
async fn publish(entries: Vec<TopicEntry>, answers: Vec<Answer>) -> Vec<Result<Confirmed, Error>> {
    let answered = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
    let (clients, _) = clients({
        let answered = Arc::clone(&answered);
        move |call, number| {
            *answered.lock().unwrap() = SystemTime::now();
            answers.get(number).cloned().unwrap_or_else(|| all(call.count(".Message=")))
        }
    });
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let results = publish_all(&publisher, entries, &owned()).await;
    let answered = *answered.lock().unwrap()..=SystemTime::now();
    let last = results.last().unwrap().as_ref().map_or_else(Error::trail, Confirmed::trail);
    assert!(answered.contains(&last.answered_at), "{last:?}: {answered:?}");
    results
}

#[tokio::test(start_paused = true)]
async fn a_result_tells_how_many_calls_its_entry_was_part_of_and_which_failed_last() {
    let id = |number: u32| Some(format!("r-{number}"));
    let throttled = || published(&[], &[(0, "Throttled", true)]);
    let failed = || published(&[], &[(0, "InternalError", false)]);
    let refused = || published(&[], &[(0, "InvalidParameter", true)]);
    let attempts = config::Publish::default().max_attempts;
    let cases: [(&str, Vec<Answer>, Told); 8] = [
        ("confirmed at once", vec![], ("m-0".into(), 1, 0, None)),
        ("the entry is throttled once", vec![throttled()], ("m-0".into(), 2, 1, id(1))),
        ("the call is throttled once", vec![sns_error(429, "Throttled")], ("m-0".into(), 2, 1, id(1))),
        ("the key is throttled twice", vec![sns_error(400, "KMSThrottling"); 2], ("m-0".into(), 3, 2, id(2))),
        ("the call fails once", vec![sns_error(503, "ServiceUnavailable")], ("m-0".into(), 2, 0, id(1))),
        ("the answer leaves the entry out", vec![published(&[], &[])], ("m-0".into(), 2, 0, id(1))),
        ("the last failure counts", vec![throttled(), failed()], ("m-0".into(), 3, 1, id(2))),
        (
            "refused until the attempts are used up",
            vec![refused(); attempts as usize],
            ("InvalidParameter".into(), attempts, 0, id(attempts)),
        ),
    ];
    for (case, answers, expected) in cases {
        assert_eq!(told(&publish(vec![entry("1")], answers).await[0]), expected, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_entry_of_a_call_has_its_own_trail() {
    let answers = vec![published(&[0], &[(1, "InvalidParameter", true), (2, "Throttled", true)])];
    let results = publish(vec![entry("1"), entry("2"), entry("3")], answers).await;
    let expected = [
        ("m-0".to_owned(), 1, 0, None),
        ("InvalidParameter".to_owned(), 1, 0, Some("r-1".to_owned())),
        ("m-0".to_owned(), 2, 1, Some("r-1".to_owned())),
    ];
    assert_eq!(results.iter().map(told).collect::<Vec<_>>(), expected);
    let confirmed = results[0].as_ref().unwrap().trail();
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.topic().as_str(), TOPIC);
    assert_eq!(confirmed.answered_at, error.trail().answered_at, "one answer has one time");
    assert!(results[2].as_ref().unwrap().trail().answered_at > confirmed.answered_at);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_that_is_split_counts_for_each_of_its_entries() {
    let results = publish(vec![entry("1"), entry("2")], vec![sns_error(400, "InvalidParameter")]).await;
    let told: Vec<Told> = results.iter().map(told).collect();
    assert_eq!(told, [(); 2].map(|()| ("m-0".to_owned(), 2, 0, Some("r-1".to_owned()))));
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_of_a_fifo_topic_has_the_sequence_number() {
    let number = "10000000000000003000";
    let (status, body) = all(1);
    let fifo = body.replace("</MessageId>", &format!("</MessageId><SequenceNumber>{number}</SequenceNumber>"));
    for (body, expected) in [(fifo, Some(number)), (body, None)] {
        let one = TopicEntry { group: Some("g".into()), deduplication_id: Some("d".into()), ..entry("1") };
        let results = publish(vec![one], vec![(status, body)]).await;
        assert_eq!(results[0].as_ref().unwrap().sequence_number(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_not_sent_has_no_attempts_and_one_whose_call_never_ended_has_one() {
    let (clients, calls) = clients(|_, _| panic!("the call panics on purpose"));
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let began = SystemTime::now();
    let lost = Ownership::new(Instant::now(), Duration::ZERO);
    for (ownership, attempts) in [(lost, 0), (owned(), 1)] {
        let results = publish_all(&publisher, vec![entry("1")], &ownership).await;
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(told(&results[0]), ("none".to_owned(), attempts, 0, None), "{error}");
        assert!((began..=SystemTime::now()).contains(&error.trail().answered_at), "the time of the enqueue");
        assert_eq!(calls.lock().unwrap().len(), attempts as usize);
    }
}

#[test]
fn an_attempt_without_an_answer_changes_neither_the_time_nor_keeps_an_older_request_id() {
    let (enqueued, answered) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    let throttle = Failure { request_id: Some("r-1".to_owned()), ..Failure::of_entry("Throttled", None, true) };
    let silence = Failure { kind: FailureKind::Transient, code: None, message: "silence".into(), request_id: None };
    let mut trail = Trail::new(enqueued);
    for (failure, at, expected) in [(throttle, Some(answered), Some("r-1")), (silence, None, None)] {
        trail.sent();
        trail.answered(at);
        trail.failed(&failure);
        assert_eq!((trail.request_id.as_deref(), trail.answered_at), (expected, answered));
    }
    assert_eq!((trail.attempts, trail.throttles), (2, 1));
}
