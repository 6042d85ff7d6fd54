//! The verdict on each kind of story, if the rows are complete.

use super::*;

fn one() -> Row {
    received(FIRST, "pod-a", 114)
}

#[test]
fn an_event_that_was_published_once_and_suppressed_once_is_told_as_the_design_tells_it() {
    let rows = [published(SNS_FIRST, to("acme", one())), duplicate(FIRST, "producer", to("acme", received(SECOND, "pod-b", 2_480)))];
    assert_eq!(
        verdict(&rows),
        "acme's topic got it once. A producer sent it twice, 2.4 s apart. If acme saw it twice, compare the SNS message \
         ids: only 1d2e0001… came through here."
    );
}

#[test]
fn two_sns_messages_for_one_customer_are_named_with_the_cause() {
    let first = published(SNS_FIRST, to("acme", one()));
    let by = |replica: &str| published(SNS_SECOND, to("acme", received(SECOND, replica, 2_480)));
    let redelivered = |replica: &str, at| {
        let row = again(2, at, published(SNS_SECOND, to("acme", one())));
        Row { replica: replica.into(), ..row }
    };
    let cases = [
        (by("pod-b"), "a producer sent it again as message 77ab0002…, and pod-b did not know of the publication by pod-a"),
        (by("pod-a"), "the window of duplicates of pod-a no longer had the publication of 2.4 s before"),
        (redelivered("pod-a", 1_000_000), "SQS delivered message 5f0c0001… again, 16 min 39 s after the publication"),
        (redelivered("pod-b", 140), "SQS delivered message 5f0c0001… again before the publication was confirmed"),
        (Row { replay: Some("july".into()), ..by("pod-a") }, "9f000002… comes from the replay july."),
        (Row { redrive: true, ..by("pod-a") }, "comes from the quarantine queue: the message was redriven."),
    ];
    for (second, cause) in cases {
        let verdict = verdict(&[second, first.clone()]);
        assert!(verdict.starts_with("acme's topic got it twice: SNS messages 1d2e0001… and 9f000002…, "), "{verdict}");
        assert!(verdict.contains(cause), "{verdict}");
        assert!(verdict.contains("If acme saw it more often, compare"), "{verdict}");
    }
}

#[test]
fn a_replayed_message_is_not_sent_by_a_producer() {
    let replayed = Row { replay: Some("july".into()), ..received(SECOND, "pod-a", 2_480) };
    let verdict = verdict(&[published(SNS_FIRST, to("acme", one())), published(SNS_SECOND, to("acme", replayed))]);
    assert!(!verdict.contains("producer"), "{verdict}");
}

#[test]
fn a_fifo_topic_drops_a_repetition_within_five_minutes_only() {
    let fifo = |row: Row| Row { topic: row.topic.map(|topic| topic + ".fifo"), ..row };
    let first = || fifo(published(SNS_FIRST, to("acme", one())));
    let second = |at| fifo(published(SNS_SECOND, to("acme", received(SECOND, "pod-b", at))));
    let soon = verdict(&[first(), second(2_480)]);
    assert!(soon.contains("accepted it twice") && soon.contains("so its subscribers got it once."), "{soon}");
    let late = verdict(&[first(), second(301_000)]);
    assert!(late.starts_with("acme's topic got it twice") && !late.contains("drops"), "{late}");
    // Attempts that were repeated cannot arrive twice.
    let repeated = Told::default().of(&[Row { attempts: Some(3), ..first() }]);
    assert!(repeated.is_known && repeated.verdict[0] == "acme's topic got it once.", "{repeated:?}");
}

#[test]
fn an_event_that_was_not_published_ends_with_its_last_row() {
    let retried = ended("retried", "publish", to("acme", one()));
    let returned = again(2, 9_000, ended("retried", "claimed_elsewhere", to("acme", one())));
    let held = again(3, 12_000, ended("retried", "held", to("acme", one())));
    let cases: [(Vec<Row>, &str); 5] = [
        (vec![ended("filtered", "types[3]", one())], "No topic got it in this window. Message 5f0c0001… was filtered by types[3]."),
        (
            vec![Row { detail: Some("it names none".into()), ..ended("quarantined", "no_customer", one()) }],
            "No topic got it in this window. Message 5f0c0001… is in quarantine as no_customer: it names none.",
        ),
        (
            vec![returned.clone(), retried.clone()],
            "acme's topic did not get it in this window. Message 5f0c0001… is retried: its last row, of 2026-11-28 \
             12:03:16, returned it to queue events, cause: claimed_elsewhere.",
        ),
        (
            vec![held, returned, retried],
            "acme's topic did not get it in this window. Message 5f0c0001… waits until its destination works: its last \
             row, of 2026-11-28 12:03:19, says held.",
        ),
        (
            vec![duplicate(SECOND, "producer", to("acme", one()))],
            "acme's topic did not get it in this window: it had it already, with message 77ab0002…. The row of that \
             publication is not among these: to find it, widen the window with --from and --to.",
        ),
    ];
    for (rows, expected) in cases {
        let story = Told::default().of(&rows);
        assert_eq!(story.verdict.join(" "), expected);
        assert!(story.is_known && story.is_found, "{story:?}");
    }
}

#[test]
fn a_message_that_failed_before_it_was_routed_ends_for_each_destination() {
    let rows = [
        ended("retried", "publish", to("acme", one())),
        again(2, 9_000, ended("quarantined", "destination_down", one())),
    ];
    let verdict = verdict(&rows);
    assert!(verdict.starts_with("acme's topic did not get it in this window. Message 5f0c0001… is in quarantine"), "{verdict}");
    assert!(!verdict.contains("is retried"), "{verdict}");
}

#[test]
fn a_message_that_is_still_open_is_told_beside_one_that_was_published() {
    let second = ended("retried", "claimed_elsewhere", to("acme", received(SECOND, "pod-b", 2_480)));
    let verdict = verdict(&[published(SNS_FIRST, to("acme", one())), second]);
    assert!(verdict.starts_with("acme's topic got it once. Message 77ab0002… is retried"), "{verdict}");
}

#[test]
fn a_retry_that_ended_well_is_not_told_as_open() {
    let rows = [ended("retried", "publish", to("acme", one())), again(2, 9_000, published(SNS_FIRST, to("acme", one())))];
    assert_eq!(
        verdict(&rows),
        "acme's topic got it once. If acme saw it twice, compare the SNS message ids: only 1d2e0001… came through here."
    );
}

#[test]
fn an_attempt_without_a_known_answer_makes_the_count_a_lower_bound() {
    let row = published(SNS_FIRST, to("acme", one()));
    let told = |attempts, throttles| {
        Told::default().of(&[Row { attempts: Some(attempts), throttles: Some(throttles), ..row.clone() }])
    };
    let unsure = told(3, 1);
    assert!(!unsure.is_known, "{unsure:?}");
    let verdict = unsure.verdict.join(" ");
    assert!(verdict.starts_with("acme's topic got it at least once. 1 attempt for acme's topic failed without"), "{verdict}");
    assert!(!verdict.contains("only"), "{verdict}");
    let throttled = told(3, 2);
    assert!(throttled.is_known && throttled.verdict[0] == "acme's topic got it once.", "{throttled:?}");
    let failed = Told::default().of(&[Row { attempts: Some(1), ..ended("retried", "publish", to("acme", one())) }]);
    assert!(!failed.is_known && failed.verdict[0] == "SNS did not confirm it for acme's topic.", "{failed:?}");
}

#[test]
fn a_message_that_was_dropped_without_a_decision_leaves_open_what_sns_accepted() {
    let dropped = || Row { outcome: "abandoned".into(), ..to("acme", one()) };
    let alone = Told::default().of(&[dropped()]);
    assert_eq!(
        alone.verdict,
        [
            "Whether acme's topic got it is not known: no row that was found has a confirmation of SNS.",
            "Message 5f0c0001… is retried: its last row is of 2026-11-28 12:03:07.",
            "A replica dropped message 5f0c0001… without a decision: SNS can have accepted an attempt before that.",
        ]
    );
    let then = Told::default().of(&[dropped(), again(2, 9_000, published(SNS_FIRST, to("acme", one())))]);
    assert_eq!(then.verdict[0], "acme's topic got it at least once; whether it got it again is not known.");
    assert!(!alone.is_known && !then.is_known, "{alone:?} {then:?}");
}

#[test]
fn customers_with_different_fates_have_a_sentence_each() {
    let rows = [
        published(SNS_FIRST, to("acme", one())),
        ended("quarantined", "publish_refused", to("initech", one())),
        published(SNS_SECOND, to("globex", one())),
    ];
    assert_eq!(
        verdict(&rows),
        "acme's topic got it once. globex's topic got it once. initech's topic did not get it in this window. Message \
         5f0c0001… is in quarantine as publish_refused. If a customer saw it more often, compare the SNS message ids: \
         only those above came through here."
    );
}

#[test]
fn with_a_customer_only_theirs_is_told() {
    let rows = [published(SNS_FIRST, to("acme", one())), ended("retried", "publish", to("initech", one()))];
    let of = |customer| Told { customer: Some(customer), ..Told::default() }.of(&rows);
    let acme = of("acme");
    assert!(acme.is_found && acme.verdict[0] == "acme's topic got it once.", "{acme:?}");
    assert!(!acme.to_string().contains("initech"), "{acme}");
    let hooli = of("hooli");
    assert_eq!(hooli.verdict, ["It was not routed to hooli: its destinations were acme and initech."]);
    assert!(!hooli.is_found && hooli.is_known && hooli.chapters.is_empty(), "{hooli:?}");
    let filtered = Told { customer: Some("acme"), ..Told::default() }.of(&[ended("filtered", "types[3]", one())]);
    assert_eq!(filtered.verdict[0], "acme's topic did not get it in this window.");
    assert!(filtered.is_found, "{filtered:?}");
}

#[test]
fn two_topics_of_one_customer_are_told_apart() {
    let other = Row { topic: Some("arn:aws:sns:eu-west-1:123456789012:audit".into()), ..to("acme", one()) };
    let verdict = verdict(&[published(SNS_FIRST, to("acme", one())), published(SNS_SECOND, other)]);
    assert!(verdict.contains("acme's topic audit got it once."), "{verdict}");
    assert!(verdict.contains("acme's topic json-events-acme got it once."), "{verdict}");
}

#[test]
fn event_types_that_share_an_id_are_events_of_their_own() {
    let shipped = Row { event_type: Some("shop.v1.OrderShipped".into()), ..received(SECOND, "pod-b", 2_480) };
    let story = Told::default().of(&[published(SNS_FIRST, to("acme", one())), published(SNS_SECOND, to("acme", shipped))]);
    assert_eq!(story.chapters.len(), 2);
    let verdict = story.verdict.join(" ");
    assert!(verdict.contains("As shop.v1.OrderPlaced: acme's topic got it once."), "{verdict}");
    assert!(verdict.contains("As shop.v1.OrderShipped: acme's topic got it once."), "{verdict}");
    assert!(!verdict.contains("twice, 2.4 s apart"), "{verdict}");
}

#[test]
fn a_row_from_before_the_message_was_decoded_belongs_to_its_event() {
    let unread = Row { event_id: None, event_type: None, ..ended("retried", "missing_object", one()) };
    let wanted = Wanted::Message(FIRST.into());
    let told = Told { wanted, ..Told::default() };
    let story = told.of(&[unread.clone(), again(2, 9_000, published(SNS_FIRST, to("acme", one())))]);
    assert_eq!(story.chapters.len(), 1, "{story}");
    assert_eq!(story.verdict[0], "acme's topic got it once.");
    let alone = told.of(&[unread]);
    assert_eq!(alone.verdict[0], "No topic got it in this window.");
    assert!(alone.to_string().starts_with("(unknown type) (unknown event id)\n"), "{alone}");
}

#[test]
fn a_publication_that_only_a_duplicate_tells_of_counts() {
    let other = "00000003-aaaa-4bbb-8ccc-000000000003";
    let rows = [published(SNS_FIRST, to("acme", one())), duplicate(other, "producer", to("acme", received(SECOND, "pod-b", 2_480)))];
    let verdict = verdict(&rows);
    assert!(verdict.starts_with("acme's topic got it at least once. It also got it with message 00000003…."), "{verdict}");
    assert!(!verdict.contains("only"), "{verdict}");
}

#[test]
fn a_row_that_was_found_twice_counts_once() {
    let row = published(SNS_FIRST, to("acme", one()));
    assert_eq!(verdict(&[row.clone(), row.clone()]), verdict(&[row]));
}

#[test]
fn many_open_messages_are_counted() {
    let row = |at: i64| ended("filtered", "types[3]", received(&format!("message-{at}"), "pod-a", at));
    let verdict = verdict(&(1..=5).map(row).collect::<Vec<_>>());
    assert!(verdict.contains("2 messages before these did not end in a publication. Message message-3 was"), "{verdict}");
    assert!(verdict.ends_with("A producer sent it 5 times within 4 ms."), "{verdict}");
}
