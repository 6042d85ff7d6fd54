//! Events larger than a message: they arrive as pointers to S3 or compressed, leave as claim checks, and take bounded memory.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use protobridge::config::Profile;
use protobridge::message::OutcomeLabel;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sha2::{Digest as _, Sha256};

use crate::bucket::{Objects, Store};
use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [
        an_event_of_any_form_leaves_as_a_claim_check,
        json_over_the_limit_is_quarantined_for_its_destination_only,
    ];
    // ministack keeps all objects in memory.
    embedded: [
        large_json_is_delivered_in_the_memory_that_it_takes,
        several_events_with_large_json_take_the_memory_of_two,
        large_json_without_a_claim_check_takes_no_memory,
    ];
    ministack: [];
}

/// The customer of all events.
const TENANT: &str = "acme";
const TYPE: &str = "large.Event";
const PROTO: &str = r#"
    syntax = "proto3";
    package large;
    enum Color { A_NAME_OF_AN_ENUM_VALUE_THAT_HAS_46_CHARACTERS = 0; }
    message Event { string tenant_id = 1; string event_id = 2; repeated Color colors = 3; string text = 4; }
"#;
/// The JSON of one of the colors of an event, with the comma behind it.
const COLOR: &str = "\"A_NAME_OF_AN_ENUM_VALUE_THAT_HAS_46_CHARACTERS\",";

const MIB: usize = 1 << 20;

/// An event of the customer acme.
struct Event {
    id: String,
    colors: usize,
    text: String,
}

impl Event {
    /// Creates an event whose JSON has at least this many bytes. Its payload has a fiftieth of them.
    fn of_colors(id: &str, json_bytes: usize) -> Self {
        let colors = json_bytes / COLOR.len() + 1;
        Self { id: id.to_owned(), colors, text: String::new() }
    }

    /// Creates an event whose JSON and payload both have this many bytes, and few more. It cannot be compressed much.
    fn of_text(id: &str, bytes: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(bytes as u64);
        let text = std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect();
        Self { id: id.to_owned(), colors: 0, text }
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        for (field, bytes) in
            [(1, TENANT.as_bytes()), (2, self.id.as_bytes()), (3, &vec![0; self.colors]), (4, self.text.as_bytes())]
        {
            if !bytes.is_empty() {
                payload.push(field << 3 | 2);
                prost::encoding::encode_varint(bytes.len() as u64, &mut payload);
                payload.extend_from_slice(bytes);
            }
        }
        payload
    }

    /// Returns the JSON in parts.
    fn json(&self) -> impl Iterator<Item = &str> {
        let Self { id, colors, text } = self;
        let list = |piece| (*colors > 0).then_some(piece);
        let field = |piece| (!text.is_empty()).then_some(piece);
        let colors = std::iter::repeat_n(COLOR, colors.saturating_sub(1)).chain(list(COLOR.trim_end_matches(',')));
        ["{\"tenantId\":\"", TENANT, "\",\"eventId\":\"", id, "\""]
            .into_iter()
            .chain(list(",\"colors\":["))
            .chain(colors)
            .chain(list("]"))
            .chain(field(",\"text\":\""))
            .chain(field(text.as_str()))
            .chain(field("\""))
            .chain(["}"])
    }

    /// Returns the message of a producer that compresses the payload like this.
    fn input(&self, encoding: Option<&str>) -> Input {
        let payload = self.payload();
        let encoded = match encoding {
            Some("gzip") => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&payload).and_then(|()| encoder.finish()).expect("a write to memory does not fail")
            }
            Some(_) => compress_to_vec(payload.as_slice(), CompressionLevel::Fastest),
            None => payload,
        };
        let input = Input::text(BASE64_STANDARD.encode(encoded)).attribute("message-type", TYPE);
        encoding.into_iter().fold(input, |input, encoding| input.attribute("content-encoding", encoding))
    }
}

/// Returns a stage with the type of these events, and a customer acme with these settings.
async fn stage(emulator: &Emulator, settings: &str) -> Stage {
    let mut stage = Stage::new(emulator).await.customer("acme", settings).await;
    let source = stage.write_file("large.proto", PROTO);
    let set = protox::compile([&source], [source.parent().expect("a file is in a folder")]).expect("it compiles");
    let path = source.with_extension("binpb");
    std::fs::write(&path, prost::Message::encode_to_vec(&set)).expect("the folder is writable");
    stage.config.descriptors.path = path.into();
    stage
}

fn assert_is(json: &str, event: &Event) {
    assert!(json == event.json().collect::<String>(), "{}... is the JSON of {}", &json[..100], event.id);
}

async fn an_event_of_any_form_leaves_as_a_claim_check(emulator: &Emulator) {
    let mut stage = stage(emulator, "claim_check: on").await;
    let objects = Objects::of(emulator, &mut stage).await;
    let running = stage.start().await;
    for encoding in [None, Some("gzip"), Some("zstd")] {
        let name = encoding.unwrap_or("plain");
        let in_body = Event::of_colors(&format!("{name}-body"), 300 << 10);
        let in_object = Event::of_text(&format!("{name}-object"), 300 << 10);
        let pointer = objects.offload(&in_object.id, in_object.input(encoding)).await;
        for (event, input) in [(&in_body, in_body.input(encoding)), (&in_object, pointer)] {
            stage.source.send([input]).await;
            let message = stage.delivered_one("acme").await;
            assert_is(&objects.content_of(&message).await, event);
            assert_eq!(message.attribute("event-id"), Some(event.id.as_str()));
            let size = &message.attributes["ExtendedPayloadSize"];
            let bytes = event.json().map(str::len).sum::<usize>().to_string();
            assert_eq!((size.data_type(), size.string_value()), ("Number", Some(bytes.as_str())));
        }
    }
    stage.source.wait_until_empty().await;
    assert_eq!(running.settled(OutcomeLabel::Published), 6);
    running.stop().await;
}

async fn json_over_the_limit_is_quarantined_for_its_destination_only(emulator: &Emulator) {
    let mut stage = stage(emulator, "claim_check: on").await.customer("globex", "profile: slim").await;
    let objects = Objects::of(emulator, &mut stage).await;
    let slim = Profile { drop: vec!["colors".to_owned()], ..Profile::default() };
    stage.config.profiles.insert("slim".to_owned(), slim);
    stage.config.route.broadcast = vec![TYPE.to_owned()];
    stage.config.claim_check.max_json_bytes = 512 << 10;
    let running = stage.start().await;

    let over = Event::of_colors("over", 512 << 10);
    stage.source.send([over.input(None)]).await;
    let quarantined = stage.quarantine.take_one().await;
    let note = quarantined.quarantine_note();
    assert_eq!(note["reason"], "too_large", "{note}");
    assert!(note["detail"].as_str().expect("a note has a detail").contains(stage.topic_of("acme")), "{note}");
    assert_eq!(stage.delivered_one("globex").await.body, r#"{"tenantId":"acme","eventId":"over"}"#);

    let under = Event::of_colors("under", 511 << 10);
    stage.source.send([under.input(None)]).await;
    assert_is(&objects.content_of(&stage.delivered_one("acme").await).await, &under);
    assert_eq!(stage.delivered_one("globex").await.body, r#"{"tenantId":"acme","eventId":"under"}"#);
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    running.stop().await;
}

/// The memory that the service takes for anything else, in MiB.
const OTHER_MIB: u64 = 40;

/// Sends this many events with JSON of this size to a service. Returns the most memory that the service took for them, in
/// MiB. The service has all events before the first one is stored.
async fn peak_mib(stage: &Stage, store: &Store, count: usize, json_bytes: usize) -> Option<u64> {
    let events: Vec<Event> = (0..count).map(|number| Event::of_colors(&number.to_string(), json_bytes)).collect();
    let service = stage.spawn().await;
    let before = service.peak_mib()?;
    store.hold();
    stage.source.send(events.iter().map(|event| event.input(Some("gzip")))).await;
    store.wait_for_puts(1).await;
    wait::until("all messages are received", async || stage.source.is_hidden().await.then_some(())).await;
    store.release();
    let messages = stage.delivered("acme", count).await;
    stage.source.wait_until_empty().await;
    let peak = service.peak_mib()?;
    for message in &messages {
        let id = message.attribute("event-id").expect("an event has an id");
        let event = &events[id.parse::<usize>().expect("the id is a number")];
        let mut sha256 = Sha256::new();
        let mut size = 0;
        for part in event.json() {
            sha256.update(part);
            size += part.len();
        }
        let stored = store.object_of(message);
        assert_eq!((stored.size, stored.sha256), (size, sha256.finalize().into()), "the object of event {id}");
    }
    Some(peak.saturating_sub(before))
}

async fn large_json_is_delivered_in_the_memory_that_it_takes(emulator: &Emulator) {
    let mut stage = stage(emulator, "claim_check: on").await;
    let store = Store::start(&mut stage).await;
    stage.config.claim_check.max_json_bytes = 128 * MIB;
    let Some(peak) = peak_mib(&stage, &store, 1, 100 * MIB).await else { return };
    assert!((100..100 + OTHER_MIB).contains(&peak), "{peak} MiB");
}

async fn several_events_with_large_json_take_the_memory_of_two(emulator: &Emulator) {
    let mut stage = stage(emulator, "claim_check: on").await;
    let store = Store::start(&mut stage).await;
    stage.config.claim_check.max_json_bytes = 64 * MIB;
    // One JSON uses it up. Two are rendered at the same time, so none of them waits for the other.
    stage.config.receive.max_in_flight_bytes = 48 * MIB;
    let Some(peak) = peak_mib(&stage, &store, 8, 50 * MIB).await else { return };
    assert!((50..2 * 50 + OTHER_MIB).contains(&peak), "{peak} MiB");
}

async fn large_json_without_a_claim_check_takes_no_memory(emulator: &Emulator) {
    let stage = stage(emulator, "").await;
    let service = stage.spawn().await;
    let Some(before) = service.peak_mib() else { return };
    let event = |number: usize| Event::of_colors(&number.to_string(), 100 * MIB);
    stage.source.send((0..8).map(|number| event(number).input(Some("gzip")))).await;
    for message in stage.quarantine.take(8).await {
        assert_eq!(message.quarantine_note()["reason"], "too_large");
    }
    let peak = service.peak_mib().expect("it was known before").saturating_sub(before);
    assert!(peak < OTHER_MIB, "{peak} MiB");
}
