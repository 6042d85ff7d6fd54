//! The framings around a payload.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write as _;
use uuid::Uuid;

use super::*;

#[test]
fn an_any_names_its_type() {
    let payload = fields(&[(1, b"type.googleapis.com/a.B"), (2, PAYLOAD)]);
    let expected = Opened { type_url: Some("type.googleapis.com/a.B".into()), ..Opened::default() };
    assert_eq!(open(&payload, &[], Framing::Any), Ok((PAYLOAD.to_vec(), expected)));
    assert_eq!(open(&fields(&[(1, b"/a.B")]), &[], Framing::Any).unwrap().0, b"", "an empty message");
    insta::assert_snapshot!(
        [refused(&fields(&[(2, PAYLOAD)]), &[], Framing::Any), refused(PAYLOAD, &[], Framing::Any)].concat(),
        @"
    the payload is not a google.protobuf.Any, although the queue's `framing` says so: it has no `type_url`; send it in this form, or change `framing`
    the payload is not a google.protobuf.Any, although the queue's `framing` says so: failed to decode Protobuf message: invalid varint; send it in this form, or change `framing`
    "
    );
}

#[test]
fn a_cloud_event_gives_the_type_id_time_and_attributes() {
    let attribute = |name: &[u8], kind, value: &[u8]| fields(&[(1, name), (2, &fields(&[(kind, value)]))]);
    let schema = attribute(b"dataschema", 5, b"https://a.example/schemas#a.B");
    let customer = attribute(b"customerid", 3, b"acme");
    let time = attribute(b"time", 7, &[0x08, 0xe8, 0x07]);
    let content_type = attribute(b"datacontenttype", 3, b"application/protobuf; proto=a.C");
    let mandatory: [(u8, &[u8]); 4] = [(1, b"7"), (2, b"/shop|1"), (3, b"1.0"), (4, b"a.Placed")];
    let with = |more: &[(u8, &[u8])]| fields(&[&mandatory, more].concat());

    let opened = open(&with(&[(5, &schema), (5, &customer), (5, &time), (6, PAYLOAD)]), &[], Framing::CloudEvents);
    let expected = Opened {
        event: Some(("/shop%7C1|7".into(), Some("1970-01-01T00:16:40Z".into()))),
        names: vec!["a.B".into(), "a.Placed".into()],
        customer: Some("acme".into()),
        ..Opened::default()
    };
    assert_eq!(opened, Ok((PAYLOAD.to_vec(), expected)));

    let (payload, opened) = open(
        &with(&[(5, &customer), (5, &content_type), (8, &fields(&[(1, b"x/a.D"), (2, PAYLOAD)]))]),
        &[("customer-id", "globex")],
        Framing::CloudEvents,
    )
    .unwrap();
    let found = (payload.as_slice(), opened.type_url.as_deref(), opened.stated.as_deref(), opened.customer.as_deref());
    assert_eq!(found, (PAYLOAD, Some("x/a.D"), Some("a.C"), Some("globex")));

    insta::assert_snapshot!(
        [
            with(&[(7, b"hello"), (5, &attribute(b"datacontenttype", 3, b"text/plain; charset=utf-8"))]),
            with(&[(8, &fields(&[(2, PAYLOAD)]))]),
            with(&[(3, b"0.3"), (6, PAYLOAD)]),
            fields(&[(1, b"7"), (3, b"1.0"), (4, b"a"), (6, PAYLOAD)]),
            PAYLOAD.to_vec(),
        ]
        .map(|payload| refused(&payload, &[], Framing::CloudEvents))
        .concat(),
        @r#"
    the payload is not a CloudEvent in Protobuf, although the queue's `framing` says so: its `text_data` has the `datacontenttype` "text/plain; charset=utf-8", which is not JSON; send the event in `proto_data` or `binary_data`, or as ProtoJSON with `application/json`; send it in this form, or change `framing`
    the payload is not a CloudEvent in Protobuf, although the queue's `framing` says so: its `proto_data` has no `type_url`; send it in this form, or change `framing`
    the payload is not a CloudEvent in Protobuf, although the queue's `framing` says so: its `spec_version` is "0.3", not 1.0; send it in this form, or change `framing`
    the payload is not a CloudEvent in Protobuf, although the queue's `framing` says so: it has no `source`; send it in this form, or change `framing`
    the payload is not a CloudEvent in Protobuf, although the queue's `framing` says so: failed to decode Protobuf message: invalid varint; send it in this form, or change `framing`
    "#
    );
}

#[test]
fn the_header_of_confluents_wire_format_is_removed() {
    let reference = |id, indexes: &[u32]| Some(SchemaReference { id, indexes: indexes.to_vec() });
    for (header, schema) in [
        (&[0, 0, 0, 0, 7, 0][..], reference(7, &[0])),
        (&[0, 0, 0, 0, 7, 2, 0], reference(7, &[0])),
        (&[0, 0, 0, 1, 0, 2, 6], reference(256, &[3])),
        (&[0, 255, 255, 255, 255, 4, 2, 0x80, 0x02], reference(u32::MAX, &[1, 128])),
    ] {
        let (payload, opened) = open(&[header, PAYLOAD].concat(), &[], Framing::Confluent).unwrap();
        assert_eq!((payload.as_slice(), opened.schema), (PAYLOAD, schema), "{header:?}");
    }
    insta::assert_snapshot!(
        [
            &[0, 0, 0][..],
            &[1, 0, 0, 0, 7, 0],
            &[0, 0, 0, 0, 7],
            &[0, 0, 0, 0, 7, 4, 0],
            &[0, 0, 0, 0, 7, 2, 1],
            &[0, 0, 0, 0, 7, 0xfe, 0xff, 0xff, 0xff, 0x0f],
        ]
        .map(|payload| refused(payload, &[], Framing::Confluent))
        .concat(),
        @"
    the payload is not in Confluent's wire format, although the queue's `framing` says so: it has fewer than 5 bytes; send it in this form, or change `framing`
    the payload is not in Confluent's wire format, although the queue's `framing` says so: it starts with the byte 0x01, not with 0x00; send it in this form, or change `framing`
    the payload is not in Confluent's wire format, although the queue's `framing` says so: the number of its message indexes is cut off; send it in this form, or change `framing`
    the payload is not in Confluent's wire format, although the queue's `framing` says so: a message index is cut off; send it in this form, or change `framing`
    the payload is not in Confluent's wire format, although the queue's `framing` says so: a message index is -1; send it in this form, or change `framing`
    the payload is not in Confluent's wire format, although the queue's `framing` says so: it has 2147483647 message indexes; send it in this form, or change `framing`
    "
    );
}

#[test]
fn a_cloud_event_without_data_is_an_empty_message() {
    let event: [(u8, &[u8]); 4] = [(1, b"7"), (2, b"/shop"), (3, b"1.0"), (4, b"a.Placed")];
    let (payload, opened) = open(&fields(&event), &[], Framing::CloudEvents).unwrap();
    assert_eq!((payload, opened.names), (Vec::new(), vec!["a.Placed".to_owned()]));
}

#[test]
fn the_text_of_a_cloud_event_is_json_unless_its_content_type_is_another() {
    let event: [(u8, &[u8]); 4] = [(1, b"7"), (2, b"/shop"), (3, b"1.0"), (4, b"a.Placed")];
    for (content_type, is_json) in [
        (None, true),
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("application/vnd.shop.order+json"), true),
        (Some("application/xml"), false),
        (Some("text/json-like"), false),
    ] {
        let content_type =
            content_type.map(|name| fields(&[(1, b"datacontenttype"), (2, &fields(&[(3, name.as_bytes())]))]));
        let mut with_text = event.to_vec();
        with_text.extend(content_type.iter().map(|attribute| (5, attribute.as_slice())));
        with_text.push((7, br#"{"a":1}"#));
        let body = STANDARD.encode(fields(&with_text));
        let attributes = HashMap::new();
        let opened = Envelope::open(&body, &attributes, &config::Envelope::default(), Framing::CloudEvents);
        let found = opened.map(|envelope| (envelope.is_json(), envelope.payload.to_vec()));
        assert_eq!(found.ok(), is_json.then(|| (true, br#"{"a":1}"#.to_vec())), "{content_type:?}");
    }
}

#[test]
fn the_length_prefix_of_the_only_message_is_removed() {
    let long = vec![7; 300];
    for (prefix, message) in [
        (&[3][..], PAYLOAD),
        (&[0], b""),
        (&[0xac, 0x02], &long),
        // An encoder can reserve the bytes of the prefix before it knows the length.
        (&[0x83, 0x80, 0x80, 0x80, 0x00], PAYLOAD),
    ] {
        let opened = open(&[prefix, message].concat(), &[], Framing::Delimited);
        assert_eq!(opened, Ok((message.to_vec(), Opened::default())), "{prefix:?}");
    }
    let huge = [&[0xff; 9][..], &[1], PAYLOAD].concat();
    insta::assert_snapshot!(
        [&b""[..], b"\x80", b"\x04abc", b"\x02abc", b"\x02ab\x02cd", &[0xff; 11], &huge]
            .map(|payload| refused(payload, &[], Framing::Delimited))
            .concat(),
        @"
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix is cut off; send it in this form, or change `framing`
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix is cut off; send it in this form, or change `framing`
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix says 4 byte(s), and 3 follow; a payload must be exactly one message; send it in this form, or change `framing`
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix says 2 byte(s), and 3 follow; a payload must be exactly one message; send it in this form, or change `framing`
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix says 2 byte(s), and 5 follow; a payload must be exactly one message; send it in this form, or change `framing`
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix is cut off; send it in this form, or change `framing`
    the payload is not length-delimited, although the queue's `framing` says so: its length prefix says 18446744073709551615 byte(s), and 3 follow; a payload must be exactly one message; send it in this form, or change `framing`
    "
    );
}

const VERSION: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn zlib(payload: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

/// Returns a payload in Glue's wire format: the version byte, the compression byte, the id and the rest.
fn glue(compression: u8, rest: &[u8]) -> Vec<u8> {
    [&[3, compression][..], VERSION.as_bytes(), rest].concat()
}

#[test]
fn the_header_of_glues_wire_format_is_removed() {
    for (index, bytes) in [(0, &[0][..]), (5, &[5]), (300, &[0xac, 0x02]), (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f])]
    {
        let inner = [bytes, PAYLOAD].concat();
        for framed in [glue(0, &inner), glue(5, &zlib(&inner))] {
            let (payload, opened) = open(&framed, &[], Framing::Glue).unwrap();
            assert_eq!((payload.as_slice(), opened.glue), (PAYLOAD, Some(GlueReference { version: VERSION, index })));
        }
    }
    assert_eq!(open(&glue(0, &[0]), &[], Framing::Glue).unwrap().0, b"", "an empty message");
    let (whole, mut damaged) = (zlib(&[0; 1000]), zlib(PAYLOAD));
    *damaged.last_mut().unwrap() ^= 1;
    insta::assert_snapshot!(
        [
            &glue(0, &[])[..17],
            &glue(0, &[]),
            &glue(0, &[0x80]),
            &glue(0, &[0x80, 0x80, 0x80, 0x80, 0x10]),
            &[&[0], &glue(0, &[0])[1..]].concat(),
            &glue(1, &[0]),
            &glue(5, &[]),
            &glue(5, &[0]),
            &glue(5, &whole[..whole.len() - 1]),
            &glue(5, &damaged),
            &glue(5, &[&whole[..], b"x"].concat()),
            &glue(5, &zlib(&[])),
        ]
        .map(|payload| refused(payload, &[], Framing::Glue))
        .concat(),
        @"
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: it has fewer than 18 bytes; send it in this form, or change `framing`
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: behind its header there is no valid index of a message; send it in this form, or change `framing`
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: behind its header there is no valid index of a message; send it in this form, or change `framing`
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: behind its header there is no valid index of a message; send it in this form, or change `framing`
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: it starts with the byte 0x00, not with 0x03; send it in this form, or change `framing`
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: its compression byte is 0x01, not 0x00 (none) or 0x05 (zlib); send it in this form, or change `framing`
    the payload is not zlib, although its header says so (it is empty); compress it, or correct the header
    the payload is not zlib, although its header says so (incomplete deflate stream); compress it, or correct the header
    the payload is not zlib, although its header says so (incomplete deflate stream); compress it, or correct the header
    the payload is not zlib, although its header says so (corrupt deflate stream); compress it, or correct the header
    the payload is not zlib, although its header says so (1 byte(s) follow its end); compress it, or correct the header
    the payload is not in the wire format of the AWS Glue Schema Registry, although the queue's `framing` says so: behind its header there is no valid index of a message; send it in this form, or change `framing`
    "
    );
}

#[test]
fn the_zlib_of_glues_wire_format_is_decompressed_up_to_the_limit() {
    let most = vec![0; 100_000];
    assert_eq!(open(&glue(5, &zlib(&most)), &[], Framing::Glue).unwrap().0, most[1..]);
    for length in [100_001, 50_000_000] {
        let bomb = glue(5, &zlib(&vec![0; length]));
        assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
        assert_eq!(
            refused(&bomb, &[], Framing::Glue),
            "the payload has more than 100000 bytes after its zlib is decompressed; to allow this size, raise `envelope.max_payload_bytes`\n"
        );
    }
}

#[test]
fn no_payload_makes_a_framing_panic() {
    use Framing::{Any, CloudEvents, Confluent, Delimited, Glue, None as Bare};
    let mut random = fastrand::Rng::with_seed(7);
    let event = fields(&[(1, b"7"), (2, b"/shop"), (3, b"1.0"), (4, b"a.Placed"), (6, PAYLOAD)]);
    let valid = [
        fields(&[(1, b"x/a.B"), (2, PAYLOAD)]),
        event,
        [&[0, 0, 0, 0, 7, 4, 2, 6][..], PAYLOAD].concat(),
        glue(0, &[&[5][..], PAYLOAD].concat()),
        glue(5, &zlib(&[0; 5_000])),
        [&[3][..], PAYLOAD].concat(),
    ];
    let mut opened = 0;
    for round in 0..20_000 {
        let mut payload = valid[round % valid.len()].clone();
        for _ in 0..random.usize(..4) {
            let at = random.usize(..=payload.len());
            match random.u8(..3) {
                0 => payload.truncate(at),
                1 => payload.insert(at, random.u8(..)),
                _ => payload.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.u8(..)),
            }
        }
        for framing in [Bare, Any, CloudEvents, Confluent, Glue, Delimited] {
            opened += usize::from(framing != Bare && open(&payload, &[], framing).is_ok());
        }
    }
    assert!(opened > 5_000, "only {opened} payloads were valid");
}
