//! The text of the main stories.

use super::*;

#[test]
fn the_main_stories_read_well() {
    let text: Vec<String> =
        stories().iter().map(|(name, rows)| format!("--- {name}\n{}", Told::default().of(rows))).collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    --- nothing
    No record of event 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11 between 2026-11-28 11:33:07 and 2026-11-28 12:33:07: every segment of every replica in this window was read (120 segments), and none has it.

    --- once
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.149  published to json-events-acme: SNS message 1d2e0001-dddd-4eee-8fff-000000000001, 1 attempt
    acme's topic got it once.
    If acme saw it twice, compare the SNS message ids: only 1d2e0001… came through here.

    --- once, and a duplicate
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.149  published to json-events-acme: SNS message 1d2e0001-dddd-4eee-8fff-000000000001, 1 attempt
     12:03:09.480  sent to queue events as 77ab0002-aaaa-4bbb-8ccc-000000000002  ← another message with the same event id
     12:03:09.497  received by pod-b, not published to json-events-acme: duplicate of 5f0c0001…, cause: producer
    acme's topic got it once.
    A producer sent it twice, 2.4 s apart.
    If acme saw it twice, compare the SNS message ids: only 1d2e0001… came through here.

    --- twice
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.149  published to json-events-acme: SNS message 1d2e0001-dddd-4eee-8fff-000000000001, 1 attempt
     12:03:09.480  sent to queue events as 77ab0002-aaaa-4bbb-8ccc-000000000002  ← another message with the same event id
     12:03:09.497  received by pod-b (first time)
     12:03:09.515  published to json-events-acme: SNS message 9f000002-dddd-4eee-8fff-000000000002, 1 attempt
    acme's topic got it twice: SNS messages 1d2e0001… and 9f000002…, 2.4 s apart.
    9f000002…: a producer sent it again as message 77ab0002…, and pod-b did not know of the publication by pod-a: replicas share a window of duplicates only with dedupe.redis_url, and only while Redis answers.
    A producer sent it twice, 2.4 s apart.
    If acme saw it more often, compare the SNS message ids: only 1d2e0001… and 9f000002… came through here.

    --- filtered
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.154  filtered by types[3]
    No topic got it in this window.
    Message 5f0c0001… was filtered by types[3].

    --- quarantined
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.154  quarantined as no_customer
    No topic got it in this window.
    Message 5f0c0001… is in quarantine as no_customer.

    --- retried
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.154  not published to json-events-acme: returned to queue events, cause: publish
    acme's topic did not get it in this window.
    Message 5f0c0001… is retried: its last row, of 2026-11-28 12:03:07, returned it to queue events, cause: publish.

    --- abandoned
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.154  dropped without a decision; SQS delivers it again when its visibility timeout lapses
    Whether a topic got it is not known.
    Message 5f0c0001… is retried: its last row is of 2026-11-28 12:03:07.
    A replica dropped message 5f0c0001… without a decision: SNS can have accepted an attempt before that.

    --- a duplicate of something before
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a, not published to json-events-acme: duplicate of 77ab0002…, cause: producer
    acme's topic did not get it in this window: it had it already, with message 77ab0002….
    The row of that publication is not among these: to find it, widen the window with --from and --to.

    --- two customers
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.149  published to json-events-acme: SNS message 1d2e0001-dddd-4eee-8fff-000000000001, 1 attempt
     12:03:07.154  not published to json-events-initech: quarantined as publish_refused
    acme's topic got it once.
    initech's topic did not get it in this window.
    Message 5f0c0001… is in quarantine as publish_refused.
    If acme saw it twice, compare the SNS message ids: only 1d2e0001… came through here.
    "#);
}

#[test]
fn a_story_with_throttles_a_redelivery_and_a_gap_reads_well() {
    let one = || Row { trace_id: Some("4bf9".into()), ..received(FIRST, "pod-a", 114) };
    let retried = Row {
        attempts: Some(3),
        throttles: Some(3),
        request_id: Some("b3a0".into()),
        detail: Some("Throttled: Rate exceeded".into()),
        ..ended("retried", "publish", to("acme", one()))
    };
    let redelivered = Row {
        replica: "pod-b".into(),
        attempts: Some(2),
        throttles: Some(1),
        sequence_number: Some("10000000000000003000".into()),
        ..again(2, 9_000, published(SNS_FIRST, to("acme", one())))
    };
    let redriven = Row { redrive: true, ..again(3, 90_000_000, duplicate(FIRST, "redelivery", to("acme", one()))) };
    let looked = Looked { holes: vec![died()], dropped: vec![dropped()], ..complete() };
    let story = Told { looked, ..Told::default() }.of(&[redriven, redelivered, retried]);
    insta::assert_snapshot!(story, @r#"
    shop.v1.OrderPlaced 9b4eee34-0c3b-4c1a-9d53-2d1b7d8a2c11
     2026-11-28 (UTC)
     12:03:07.114  sent to queue events as 5f0c0001-aaaa-4bbb-8ccc-000000000001
     12:03:07.131  received by pod-a (first time)
     12:03:07.154  not published to json-events-acme: returned to queue events, cause: publish: Throttled: Rate exceeded, 3 attempts, 3 throttled, last failed request b3a0
     12:03:16.000  received by pod-b (2nd time)
     12:03:16.018  published to json-events-acme: SNS message 1d2e0001-dddd-4eee-8fff-000000000001, 2 attempts, 1 throttled, sequence number 10000000000000003000
     2026-11-29 (UTC)
     13:03:07.000  received by pod-a from the quarantine queue (3rd time), not published to json-events-acme: duplicate of 5f0c0001…, cause: redelivery
    acme's topic got it at least once; whether it got it again is not known.
    If acme saw it twice, compare the SNS message ids: 1d2e0001… came through here.
    Rows can be missing:
      No record of pod-b between 2026-11-28 12:03:10 and 12:03:41: it died; what it did then is unknown.
      pod-a dropped 12 rows between 2026-11-28 12:03:07 and 12:04:07, because the store did not keep up.
    "#);
}

#[test]
fn more_reasons_than_fit_are_counted() {
    let looked = Looked { holes: vec![died(); 11], ..complete() };
    let text = Told { looked, ..Told::default() }.of(&[]).to_string();
    assert!(text.ends_with("  There are 3 more reasons; --explain lists all of them.\n"), "{text}");
    assert_eq!(text.matches("it died").count(), 8);
}
