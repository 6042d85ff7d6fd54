use super::*;
use crate::message::attributes::is_accepted;
use crate::message::{QuarantineKind, Queue};

fn message(attributes: usize) -> Message {
    let values: Vec<(String, String)> = (0..attributes).map(|n| (format!("a{n}"), "x".repeat(10 - n))).collect();
    let attributes: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
    Message::for_tests(Queue::for_tests(), "CAE=", &attributes, None)
}

fn note(attributes: &HashMap<String, MessageAttributeValue>) -> serde_json::Value {
    serde_json::from_str(attributes[QUARANTINE_NOTE].string_value().unwrap()).unwrap()
}

#[test]
fn the_note_is_the_only_attribute_that_is_added() {
    let attributes = with_note(&message(9), &QuarantineKind::UnknownType.because("x.Y"), Some("abc"), None).unwrap();
    assert_eq!(attributes.len(), 10);
    let note = note(&attributes);
    assert_eq!(
        (&note["reason"], &note["detail"], &note["schema_hash"]),
        (&"unknown_type".into(), &"x.Y".into(), &"abc".into())
    );
    assert_eq!(note.get("folded"), None);
}

#[test]
fn the_note_folds_the_smallest_of_ten_attributes() {
    let attributes = with_note(&message(10), &QuarantineKind::BadEnvelope.because("x"), None, None).unwrap();
    assert_eq!(attributes.len(), 10);
    assert!(!attributes.contains_key("a9"));
    let folded = &note(&attributes)["folded"];
    assert_eq!(*folded, serde_json::json!({"name": "a9", "data_type": "String", "string_value": "x"}));
}

#[test]
fn the_note_keeps_the_message_id_of_the_first_quarantine() {
    let mut message = message(1);
    assert_eq!(first_message_id(&message), None);
    message.attributes = with_note(&message, &QuarantineKind::UnknownType.because("x.Y"), None, None).unwrap();
    // SQS assigns another id when the message is sent back.
    message.message_id = "m-2".to_owned();
    assert_eq!(first_message_id(&message).as_deref(), Some("m-1"));
    let again = with_note(&message, &QuarantineKind::UnknownType.because("x.Y"), None, None).unwrap();
    assert_eq!(note(&again)["message_id"], "m-1");
    message.attributes = [(QUARANTINE_NOTE.to_owned(), "not a note")]
        .map(|(name, text)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
            (name, value.unwrap())
        })
        .into();
    assert_eq!(first_message_id(&message), None);
}

#[test]
fn a_note_is_an_attribute_that_sqs_accepts_and_keeps_every_character() {
    let (mut message, detail) = (message(10), "a\u{1}b\u{ffff}c\u{fffe}");
    message.message_id = detail.to_owned();
    let attributes = with_note(&message, &QuarantineKind::BadEnvelope.because(detail), None, None).unwrap();
    assert!(is_accepted(attributes[QUARANTINE_NOTE].string_value().unwrap()));
    let note = note(&attributes);
    assert_eq!((&note["detail"], &note["message_id"]), (&detail.into(), &detail.into()));
}

#[test]
fn a_note_is_small_even_if_the_message_brings_a_large_one() {
    let mut message = message(1);
    let forged = format!(r#"{{"message_id":"{}"}}"#, "x".repeat(300_000));
    let value = MessageAttributeValue::builder().data_type("String").string_value(forged).build().unwrap();
    message.attributes.insert(QUARANTINE_NOTE.to_owned(), value);
    let reason = QuarantineKind::NoCustomer.because("x".repeat(300_000));
    let attributes = with_note(&message, &reason, None, None).unwrap();
    assert_eq!(note(&attributes)["message_id"], "m-1");
    assert!(value_bytes(&attributes[QUARANTINE_NOTE]) < 2_000);
}

/// Returns the note's event, of which acme has its copy.
fn delivered(customers: usize) -> PartlyDelivered {
    let recipient = |number| Recipient {
        topic: format!("arn:aws:sns:eu-west-1:1:topic-{number}").into(),
        customer: (number > 0).then(|| format!("customer-{number}").into()),
    };
    let recipients = (0..customers).map(recipient).collect();
    PartlyDelivered { event_type: "a.B".into(), event_id: "e-1".to_owned(), recipients }
}

#[test]
fn a_note_lists_the_destinations_that_have_the_event_and_is_read_back_for_this_event_only() {
    let (mut message, reason, two) = (message(1), QuarantineKind::TooLarge.because("x"), delivered(2));
    message.attributes = with_note(&message, &reason, None, Some(&two)).unwrap();
    let list = serde_json::json!([
        {"topic": "arn:aws:sns:eu-west-1:1:topic-0"},
        {"topic": "arn:aws:sns:eu-west-1:1:topic-1", "customer": "customer-1"},
    ]);
    let text = note(&message.attributes);
    assert_eq!(text["delivered"], list);
    assert_eq!((&text["event_type"], &text["event_id"]), (&"a.B".into(), &"e-1".into()));

    let noted = NotedRecipients::of(&message, "a.B", "e-1").unwrap();
    assert_eq!(noted.first_message_id, "m-1");
    assert!(two.recipients.iter().all(|recipient| noted.contains(recipient)));
    assert!(!noted.contains(&Recipient { customer: None, ..two.recipients[1].clone() }), "another customer");
    assert!(NotedRecipients::of(&message, "a.B", "e-2").is_none(), "the note of another event");
    assert!(NotedRecipients::of(&message, "a.C", "e-1").is_none(), "the note of another type");

    // The message was sent back and is quarantined before its destinations are known.
    let again = with_note(&message, &QuarantineKind::UnknownType.because("x"), None, None).unwrap();
    assert_eq!((&note(&again)["delivered"], &note(&again)["event_id"]), (&list, &"e-1".into()));

    // One of the destinations of the note is a destination no longer. It still has the event.
    let one = PartlyDelivered { recipients: vec![two.recipients[1].clone()], ..delivered(0) };
    let again = with_note(&message, &reason, None, Some(&one)).unwrap();
    let mut recipients = note(&again)["delivered"].as_array().unwrap().clone();
    recipients.sort_by_key(|recipient| recipient["topic"].to_string());
    assert_eq!(recipients, *list.as_array().unwrap());
    // The note of another event says nothing about this one.
    let other = PartlyDelivered { event_id: "e-2".to_owned(), ..one };
    assert_eq!(
        note(&with_note(&message, &reason, None, Some(&other)).unwrap())["delivered"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_list_of_destinations_for_which_the_message_has_no_room_is_left_out_and_counted() {
    let reason = QuarantineKind::TooLarge.because("x");
    let large = Message { body: "x".repeat(900_000), ..message(1) };
    for (customers, is_listed) in [(1_000, true), (5_000, false)] {
        let attributes = with_note(&large, &reason, None, Some(&delivered(customers))).unwrap();
        let note = note(&attributes);
        assert_eq!(note["delivered"].as_array().map(Vec::len), is_listed.then_some(customers));
        assert_eq!(note["delivered_omitted"].as_u64(), (!is_listed).then_some(5_000));
        assert!(message_size(&large.body, &attributes) <= MAX_BATCH_BYTES);
    }
}
