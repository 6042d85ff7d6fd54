use tokio::time::{advance, timeout};

use super::*;

fn window(max_entries: usize) -> Arc<Window> {
    let settings = config::Dedupe { window_seconds: 60, max_entries, ..Default::default() };
    Window::new(&settings, Duration::from_secs(60), Arc::new(Metrics::new(false))).unwrap()
}

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";

fn key(event: &str, customer: &str) -> DeliveryKey {
    DeliveryKey::new("a.B", event, Some(&customer.into()), &TOPIC.into())
}

const FIRST: MessageId = MessageId(Uuid::from_u128(1));
const OTHER: MessageId = MessageId(Uuid::from_u128(2));

async fn claim(window: &Arc<Window>, event: &str, message: MessageId) -> Result<Claim, DuplicateCause> {
    let key = key(event, "acme");
    let mut claim = window.claim(&[key], message).await.remove(0);
    window.claim_in_store(std::iter::once(Attempt { key, message, claim: &mut claim })).await;
    claim.map_err(|taken| match taken {
        Taken::Published(before) => before.cause,
        Taken::Elsewhere => panic!("there is no other replica"),
    })
}

#[test]
fn a_key_depends_on_type_id_customer_and_topic() {
    let other_account = TOPIC.replace("123456789012", "210987654321");
    let keys = [
        ("a.B", "1", Some("acme"), TOPIC),
        ("a.B", "1", Some("globex"), TOPIC),
        ("a.B", "1", None, TOPIC),
        ("a.B", "11", Some("acme"), TOPIC),
        ("a.B1", "1", Some("acme"), TOPIC),
        ("a.B", "", Some("1acme"), TOPIC),
        ("a.B", "1", Some("acme"), &*other_account),
    ]
    .map(|(event_type, id, customer, topic)| {
        DeliveryKey::new(event_type, id, customer.map(Arc::from).as_ref(), &topic.into())
    });
    for (index, one) in keys.iter().enumerate() {
        assert_eq!(keys.iter().filter(|other| *other == one).count(), 1, "{index}");
    }
}

#[test]
fn a_message_id_is_printed_as_sqs_writes_it() {
    let id = "0b0c7c4e-8f0a-4f6b-9d1c-1f2e3d4c5b6a";
    assert_eq!(MessageId::new(id).to_string(), id);
    assert_ne!(MessageId::new("m-1"), MessageId::new("m-2"));
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_delivery_is_a_duplicate_with_a_cause() {
    let window = window(100);
    window.confirm(vec![claim(&window, "1", FIRST).await.unwrap()]).await;
    assert_eq!(claim(&window, "1", FIRST).await.unwrap_err(), DuplicateCause::Redelivery);
    assert_eq!(claim(&window, "1", OTHER).await.unwrap_err(), DuplicateCause::Producer);
    assert!(claim(&window, "2", FIRST).await.is_ok(), "another event");
    assert!(window.claim(&[key("1", "globex")], FIRST).await.remove(0).is_ok(), "another customer");
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_is_not_a_duplicate() {
    let window = window(100);
    drop(claim(&window, "1", FIRST).await.unwrap());
    assert!(claim(&window, "1", OTHER).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_while_another_message_publishes_the_same_event() {
    for is_confirmed in [true, false] {
        let window = window(100);
        let first = claim(&window, "1", FIRST).await.unwrap();
        let mut second = Box::pin(claim(&window, "1", OTHER));
        assert!(timeout(Duration::from_secs(5), &mut second).await.is_err());
        if is_confirmed {
            window.confirm(vec![first]).await;
        } else {
            drop(first);
        }
        assert_eq!(second.await.is_err(), is_confirmed);
    }
}

#[tokio::test(start_paused = true)]
async fn two_messages_with_the_same_keys_do_not_block_each_other() {
    let window = window(100);
    let (a, b) = (key("1", "acme"), key("1", "globex"));
    let both = [vec![a, b], vec![b, a]].map(|keys| {
        let window = Arc::clone(&window);
        tokio::spawn(async move {
            let claims: Vec<Claim> = window.claim(&keys, FIRST).await.into_iter().filter_map(Result::ok).collect();
            tokio::task::yield_now().await;
            let count = claims.len();
            window.confirm(claims).await;
            count
        })
    });
    let mut counts = Vec::new();
    for one in both {
        counts.push(timeout(Duration::from_secs(5), one).await.expect("neither message waits forever").unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts, [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_would_have_to_wait_claims_nothing() {
    let window = window(100);
    let (free, busy) = (key("1", "acme"), key("1", "globex"));
    let first = window.claim(&[busy], FIRST).await;
    assert!(window.try_claim([free, busy].into_iter(), OTHER).is_err());
    window.confirm(first.into_iter().filter_map(Result::ok).collect()).await;
    let claims = window.try_claim([free, busy].into_iter(), OTHER).expect("the failed attempt left no claim");
    assert!(matches!(&claims[..], [Ok(_), Err(Taken::Published(before))] if before.first == FIRST));
}

#[tokio::test(start_paused = true)]
async fn the_window_is_bounded_by_time_and_by_count() {
    let window = window(3);
    for event in ["1", "2", "3", "4"] {
        window.confirm(vec![claim(&window, event, FIRST).await.unwrap()]).await;
        advance(Duration::from_secs(10)).await;
    }
    assert!(claim(&window, "1", OTHER).await.is_ok(), "only three deliveries are kept");
    assert!(claim(&window, "2", OTHER).await.is_err());
    advance(Duration::from_secs(40)).await;
    assert!(claim(&window, "2", OTHER).await.is_ok(), "it was confirmed 70 seconds ago");
    assert!(claim(&window, "4", OTHER).await.is_err(), "it was confirmed 50 seconds ago");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_within_the_window_stays_confirmed() {
    let window = window(100);
    window.confirm(vec![claim(&window, "1", FIRST).await.unwrap()]).await;
    for _ in 0..10 {
        advance(Duration::from_secs(50)).await;
        assert_eq!(claim(&window, "1", FIRST).await.unwrap_err(), DuplicateCause::Redelivery);
    }
    advance(Duration::from_secs(50)).await;
    assert_eq!(claim(&window, "1", OTHER).await.unwrap_err(), DuplicateCause::Producer);
    advance(Duration::from_secs(50)).await;
    assert!(claim(&window, "1", OTHER).await.is_ok(), "another message does not renew the delivery");
}

fn finished(message: MessageId) -> Vec<Finished> {
    vec![Finished { message, deliveries: Vec::new() }]
}

#[tokio::test(start_paused = true)]
async fn the_deliveries_of_an_unfinished_message_stay_confirmed_until_it_is_finished() {
    let window = window(3);
    window.begin(FIRST, &[]).await;
    window.confirm(vec![claim(&window, "1", FIRST).await.unwrap()]).await;
    for event in ["2", "3", "4", "5"] {
        window.confirm(vec![claim(&window, event, OTHER).await.unwrap()]).await;
    }
    assert!(claim(&window, "1", OTHER).await.is_err(), "other deliveries do not push it out");
    assert!(claim(&window, "2", OTHER).await.is_ok());
    advance(Duration::from_secs(12 * 60 * 60)).await;
    assert_eq!(claim(&window, "1", FIRST).await.unwrap_err(), DuplicateCause::Redelivery);

    window.finish(finished(FIRST)).await;
    advance(Duration::from_secs(59)).await;
    assert!(claim(&window, "1", OTHER).await.is_err(), "SQS can deliver a message again after its delete");
    advance(Duration::from_secs(1)).await;
    assert!(claim(&window, "1", OTHER).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_deliveries_of_a_finished_message_leave_the_window_together() {
    let window = window(2);
    window.begin(FIRST, &[]).await;
    for event in ["1", "2"] {
        window.confirm(vec![claim(&window, event, FIRST).await.unwrap()]).await;
        advance(Duration::from_secs(50)).await;
    }
    window
        .finish(vec![Finished { message: FIRST, deliveries: ["1", "2"].map(|event| key(event, "acme")).into() }])
        .await;
    advance(Duration::from_secs(59)).await;
    for event in ["1", "2"] {
        assert!(claim(&window, event, OTHER).await.is_err(), "{event} was finished 59 seconds ago");
    }
    advance(Duration::from_secs(1)).await;
    for event in ["1", "2"] {
        assert!(claim(&window, event, OTHER).await.is_ok(), "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_message_adopts_the_deliveries_of_a_finished_one() {
    let window = window(100);
    window.confirm(vec![claim(&window, "1", FIRST).await.unwrap()]).await;
    let before = PublishedBefore::new(FIRST, OTHER);
    window.begin(OTHER, &[(key("1", "acme"), before)]).await;
    // A delivery of a message that is not finished stays with that message.
    let third = MessageId(Uuid::from_u128(3));
    window.begin(third, &[(key("1", "acme"), PublishedBefore::new(OTHER, third))]).await;
    window.finish(finished(third)).await;
    for _ in 0..2 {
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(claim(&window, "1", OTHER).await.unwrap_err(), DuplicateCause::Redelivery);
    }
}

#[tokio::test(start_paused = true)]
async fn unfinished_messages_are_bounded_by_count_and_by_the_retention_of_sqs() {
    let window = window(2);
    let messages = [1, 2, 3].map(|number| MessageId(Uuid::from_u128(number)));
    for (message, event) in messages.into_iter().zip(["1", "2", "3"]) {
        window.begin(message, &[]).await;
        window.confirm(vec![claim(&window, event, message).await.unwrap()]).await;
        advance(Duration::from_secs(61)).await;
    }
    assert!(claim(&window, "1", messages[0]).await.is_ok(), "the message that was seen first is forgotten");
    for at in [1, 2] {
        assert!(claim(&window, ["1", "2", "3"][at], messages[at]).await.is_err());
    }
    advance(unfinished::MAX_RETENTION).await;
    window.begin(messages[2], &[]).await;
    assert!(claim(&window, "2", messages[1]).await.is_ok(), "SQS does not keep a message for that long");
}

#[tokio::test(start_paused = true)]
async fn without_a_window_nothing_is_a_duplicate() {
    let settings = config::Dedupe { enabled: false, ..Default::default() };
    let window = Window::new(&settings, Duration::from_secs(60), Arc::new(Metrics::new(false))).unwrap();
    window.confirm(vec![claim(&window, "1", FIRST).await.unwrap()]).await;
    assert!(claim(&window, "1", FIRST).await.is_ok());
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_does_not_stop_deliveries_and_is_counted() {
    // A port that was free a moment ago refuses connections.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = config::Dedupe { redis_url: Some(format!("redis://127.0.0.1:{port}")), ..Default::default() };
    let metrics = Arc::new(Metrics::new(false));
    let window = Window::new(&settings, Duration::from_secs(60), Arc::clone(&metrics)).unwrap();
    window.confirm(vec![claim(&window, "1", FIRST).await.unwrap()]).await;
    assert_eq!(
        claim(&window, "1", FIRST).await.unwrap_err(),
        DuplicateCause::Redelivery,
        "the process remembers the delivery itself"
    );
    assert!(claim(&window, "2", FIRST).await.is_ok());
    assert!(metrics.dedupe_store_errors.sum() >= 2);
    assert!(metrics.render().contains("protobridge_dedupe_store_up 0"), "{}", metrics.render());
}
