use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::super::{Kept, NotedRecipients};
use super::*;
use crate::message::attributes::MAX_ATTRIBUTES;
use crate::message::{PartlyDelivered, QuarantineKind};

fn value(random: &mut fastrand::Rng) -> MessageAttributeValue {
    let length = random.usize(1..40);
    let text: String = std::iter::repeat_with(|| random.alphanumeric()).take(length).collect();
    let value = MessageAttributeValue::builder();
    let value = match random.u8(0..3) {
        0 => value.data_type("String.kind").string_value(text + "ü"),
        1 => value.data_type("Number").string_value(random.u32(..).to_string()),
        _ => value.data_type("Binary").binary_value(Blob::new(text.as_bytes())),
    };
    value.build().unwrap()
}

/// Returns a message as its source queue delivers it, with up to ten attributes.
fn random_message(random: &mut fastrand::Rng) -> Message {
    let is_fifo = random.bool();
    let url = format!("https://sqs.eu-west-1.amazonaws.com/1/orders{}", if is_fifo { ".fifo" } else { "" });
    let queue = crate::config::Queue { url, ..Default::default() };
    let mut message = Message::for_tests(Queue::from(&queue), "CAE=", &[], None);
    let mut maybe = |text: &str| random.bool().then(|| text.to_owned());
    message.group = if is_fifo { Some("g-1".to_owned()) } else { maybe("fair") };
    message.trace_header = maybe("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1");
    message.deduplication_id = is_fifo.then(|| "d-1".to_owned());
    message.sequence_number = is_fifo.then(|| "18849496460467696128".to_owned());
    message.sent = SystemTime::UNIX_EPOCH + Duration::from_millis(random.u64(1_500_000_000_000..1_900_000_000_000));
    message.attributes =
        (0..=random.usize(0..=MAX_ATTRIBUTES)).skip(1).map(|n| (format!("a{n}"), value(random))).collect();
    message
}

/// Returns the message as a quarantine queue delivers it.
fn stored(message: &Message, attributes: HashMap<String, MessageAttributeValue>) -> Message {
    let mut received = Message::for_tests(Queue::for_tests(), &message.body, &[], Some("of the quarantine queue"));
    received.message_id = "m-in-quarantine".to_owned();
    received.attributes = attributes;
    received
}

/// Returns everything of a message that its producer and SQS said about it, without the note.
fn parts(message: &Message) -> impl PartialEq + std::fmt::Debug + use<> {
    let Message { queue, message_id, body, attributes, sent, group, deduplication_id, .. } = message;
    let attributes = attributes.clone().into_iter().filter(|(name, _)| name != QUARANTINE_NOTE);
    let attributes: std::collections::BTreeMap<_, _> = attributes.collect();
    let rest = [group, deduplication_id, &message.sequence_number, &message.trace_header].map(Clone::clone);
    (queue.url.clone(), message_id.clone(), body.clone(), attributes, *sent, rest)
}

#[test]
fn a_restored_message_is_the_original_whatever_it_has() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..2_000 {
        let original = random_message(&mut random);
        let reason = QuarantineKind::TooLarge.because("x");
        let delivered = random.bool().then(|| PartlyDelivered {
            event_type: "a.B".into(),
            event_id: "e-1".to_owned(),
            recipients: vec![Recipient { topic: "arn:aws:sns:eu-west-1:1:acme".into(), customer: Some("acme".into()) }],
        });
        let noted = note::with_note(&original, &reason, Some("hash"), delivered.as_ref()).unwrap();
        let quarantined = Quarantined::read(stored(&original, noted)).unwrap();
        let restored = quarantined.original(Arc::clone(&original.queue));
        assert_eq!(NotedRecipients::of(&restored, "a.B", "e-1").is_some(), delivered.is_some(), "round {round}");
        assert_eq!(quarantined.own_attributes(), original.attributes.len());
        let fits = original.attributes.len() < MAX_ATTRIBUTES;
        let kept = delivered.as_ref().map_or(Ok(Kept::Nothing), |_| if fits { Ok(Kept::Note) } else { Err(()) });
        assert_eq!(quarantined.kept().map_err(drop), kept);

        // A copy with a new note gives the original again.
        let why = quarantined.why();
        let again = note::with_note_of(&restored, why, delivered.as_ref()).unwrap();
        assert!(again.len() <= MAX_ATTRIBUTES);
        let again = Quarantined::read(stored(&original, again)).unwrap();
        assert_eq!(again.quarantined_at(), quarantined.quarantined_at());
        let twice = again.original(Arc::clone(&original.queue));
        assert_eq!(parts(&restored), parts(&original), "round {round}");
        assert_eq!(parts(&twice), parts(&original), "round {round}");
    }
}

#[test]
fn a_note_of_an_earlier_version_is_read() {
    let note = r#"{"reason":"unknown_type","detail":"x","queue":"https://h/1/orders","message_id":"m-1",
        "quarantined_at":"2026-01-01T00:00:00Z","folded":{"name":"b","data_type":"Binary","binary_value":"AAE="}}"#;
    let message = |group| {
        let mut message = Message::for_tests(Queue::for_tests(), "CAE=", &[(QUARANTINE_NOTE, note)], Some(group));
        message.message_id = "m-2".to_owned();
        message
    };
    for (group, expected) in [("g", Some("g")), ("m-1", None)] {
        let quarantined = Quarantined::read(message(group)).unwrap();
        let (sent, original) = (quarantined.message.sent, quarantined.original(Arc::new(Queue::for_tests())));
        assert_eq!((original.message_id.as_str(), original.group.as_deref(), original.sent), ("m-1", expected, sent));
        assert_eq!(original.attributes["b"].binary_value().unwrap().as_ref(), [0, 1]);
    }
}

#[test]
fn a_message_whose_note_is_missing_or_damaged_is_not_read() {
    let folded = r#"{"reason":"x","queue":"q","message_id":"m","quarantined_at":"","folded":{"name":"b","data_type":"Binary","binary_value":"?"}}"#;
    for note in [None, Some("no JSON"), Some(r#"{"reason":"x"}"#), Some(folded)] {
        let attributes: Vec<_> = note.map(|note| (QUARANTINE_NOTE, note)).into_iter().collect();
        assert!(Quarantined::read(Message::for_tests(Queue::for_tests(), "", &attributes, None)).is_err(), "{note:?}");
    }
}
