use std::collections::HashMap;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::*;
use crate::config::{self, Framing};

mod framing;

const PAYLOAD: &[u8] = b"\xfb\xff\x00";

impl<'m> Envelope<'m> {
    /// Opens a message whose body does not point to an S3 object.
    fn open(
        body: &'m str,
        attributes: &'m HashMap<String, MessageAttributeValue>,
        settings: &config::Envelope,
        framing: config::Framing,
    ) -> Result<Self, Error> {
        Outer::read(body, attributes).open(None, settings, framing, &mut ())
    }
}

fn attribute(kind: &str, text: Option<&str>, binary: Option<&[u8]>) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder().data_type(kind);
    builder.set_string_value(text.map(str::to_owned)).set_binary_value(binary.map(Blob::new)).build().unwrap()
}

fn check(body: &str, attributes: &[(&str, MessageAttributeValue)], expected: Result<&[u8], &str>) {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let opened = Envelope::open(body, &attributes, &config::Envelope::default(), Framing::None);
    match (&opened, expected) {
        (Ok(envelope), Ok(payload)) => assert_eq!(&*envelope.payload, payload, "{body}"),
        (Err(error), Err(text)) => assert_eq!(error.to_string(), text, "{body}"),
        _ => panic!("{body}: {opened:?}"),
    }
}

#[test]
fn base64_is_decoded_in_both_alphabets_with_or_without_padding() {
    for body in ["+/8A", "-_8A", " +/8A\n"] {
        check(body, &[], Ok(PAYLOAD));
    }
    check("CAE=", &[], Ok(b"\x08\x01"));
    check("CAE", &[], Ok(b"\x08\x01"));
}

#[test]
fn base64_can_have_line_breaks_and_spaces() {
    for body in ["+/\r\n8A", "+ /\t8\nA", "-_\r\n8A\r\n", "+/8A\r\n", "+\n/\n8\nA"] {
        check(body, &[], Ok(PAYLOAD));
    }
    check("CA\r\nE=", &[], Ok(b"\x08\x01"));
    check("CAE\n=", &[], Ok(b"\x08\x01"));
    let notification =
        r#"{"Type":"Notification","Message":"-","MessageAttributes":{"payload":{"Type":"Binary","Value":"+/\r\n8A"}}}"#;
    check(notification, &[], Ok(PAYLOAD));
}

#[test]
fn an_error_in_base64_with_line_breaks_has_the_position_in_the_whole_text() {
    check(
        "+/8A\r\n+/?A",
        &[],
        Err(
            "the body is not base64 (Invalid symbol 63, offset 8.), and there is no attribute `payload` of type Binary or String; send the payload as one or the other",
        ),
    );
}

#[test]
fn a_binary_attribute_takes_precedence_over_the_body() {
    check("see attribute", &[("payload", attribute("Binary", None, Some(PAYLOAD)))], Ok(PAYLOAD));
}

#[test]
fn a_string_attribute_can_carry_the_payload_in_base64() {
    for (kind, text) in [("String", "+/8A"), ("String.base64", "-_8A"), ("String", "+/\r\n8A\r\n")] {
        check("?", &[("payload", attribute(kind, Some(text), None))], Ok(PAYLOAD));
        let text = text.replace("\r\n", "\\r\\n");
        let notification = format!(
            r#"{{"Type":"Notification","Message":"?","MessageAttributes":{{"payload":{{"Type":"{kind}","Value":"{text}"}}}}}}"#
        );
        check(&notification, &[("payload", attribute("Binary", None, Some(b"of the message")))], Ok(PAYLOAD));
    }
    // A number can be base64 by chance, and `Strings` is no type.
    for kind in ["Number", "Number.int", "Strings"] {
        check("+/8A", &[("payload", attribute(kind, Some("1234"), None))], Ok(PAYLOAD));
    }
    check(
        "+/8A",
        &[("payload", attribute("String", Some("v2!"), None))],
        Err(
            "attribute `payload` of the message is not base64 (Invalid symbol 33, offset 2.); send the payload as a Binary attribute, or as a String attribute with base64, or give `envelope.payload_attribute` another name",
        ),
    );
    // The body is not read, so that it cannot name an object in S3.
    let attributes = HashMap::from([("payload".to_owned(), attribute("String", Some("+/8A"), None))]);
    let body = r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]"#;
    assert_eq!(Outer::read(body, &attributes).pointer(&config::Envelope::default()).unwrap(), None);
}

#[test]
fn a_notification_is_unwrapped() {
    let body = r#"{"Type":"Notification","MessageId":"n-1","Message":"+\/8A","MessageAttributes":{"message-type":{"Type":"String","Value":"a.B"}}}"#;
    check(body, &[], Ok(PAYLOAD));
    let attributes = HashMap::from([("message-type".to_owned(), attribute("String", Some("outer"), None))]);
    let envelope = Envelope::open(body, &attributes, &config::Envelope::default(), Framing::None).unwrap();
    assert_eq!(envelope.attribute("message-type"), Some("a.B"), "the notification's attribute takes precedence");
    assert_eq!(envelope.notification_id(), Some("n-1"));
}

#[test]
fn a_binary_attribute_of_a_notification_is_decoded_from_base64() {
    check(
        r#"{"Type":"Notification","Message":"-","MessageAttributes":{"payload":{"Type":"Binary","Value":"+/8A"}}}"#,
        &[],
        Ok(PAYLOAD),
    );
    check(
        r#"{"Type":"Notification","Message":"-","MessageAttributes":{"payload":{"Type":"Binary","Value":"?"}}}"#,
        &[],
        Err(
            "attribute `payload` of the SNS notification is not base64 (Invalid symbol 63, offset 0.); send the payload as a Binary attribute, or as a String attribute with base64, or give `envelope.payload_attribute` another name",
        ),
    );
}

#[test]
fn an_error_about_a_missing_payload_names_what_was_tried() {
    check(
        "hello, world",
        &[],
        Err(
            "the body is not base64 (Invalid symbol 44, offset 5.), and there is no attribute `payload` of type Binary or String; send the payload as one or the other",
        ),
    );
    check(
        r#"{"Type":"SubscriptionConfirmation","Message":"+/8A"}"#,
        &[],
        Err(
            "the body is not base64 (Invalid symbol 123, offset 0.), and there is no attribute `payload` of type Binary or String; send the payload as one or the other",
        ),
    );
}

/// Encodes length-delimited fields, each from its number and its bytes.
fn fields(fields: &[(u8, &[u8])]) -> Vec<u8> {
    fields.iter().flat_map(|(number, value)| [&[number << 3 | 2, value.len() as u8], *value].concat()).collect()
}

fn open(payload: &[u8], attributes: &[(&str, &str)], framing: Framing) -> Result<(Vec<u8>, Opened), String> {
    let attributes = attributes.iter().map(|(name, text)| ((*name).to_owned(), attribute("String", Some(text), None)));
    let attributes = attributes.collect();
    let body = STANDARD.encode(payload);
    let settings = config::Envelope { max_payload_bytes: 100_000, ..Default::default() };
    let envelope = Envelope::open(&body, &attributes, &settings, framing).map_err(|error| error.to_string())?;
    let event = envelope.cloud_event();
    let opened = Opened {
        type_url: envelope.type_url().map(str::to_owned),
        schema: envelope.schema().cloned(),
        glue: envelope.glue().copied(),
        event: event.map(|event| (event.event_id(), event.time().map(str::to_owned))),
        names: event.into_iter().flat_map(CloudEvent::type_names).map(str::to_owned).collect(),
        customer: envelope.attribute("customer-id").map(str::to_owned),
        stated: envelope.stated_type("message-type").map(Cow::into_owned),
    };
    Ok((envelope.payload.into_owned(), opened))
}

#[derive(Debug, Default, PartialEq)]
struct Opened {
    type_url: Option<String>,
    schema: Option<SchemaReference>,
    glue: Option<GlueReference>,
    event: Option<(String, Option<String>)>,
    names: Vec<String>,
    customer: Option<String>,
    stated: Option<String>,
}

fn refused(payload: &[u8], attributes: &[(&str, &str)], framing: Framing) -> String {
    open(payload, attributes, framing).unwrap_err() + "\n"
}

fn gzip(payload: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

fn zstd(payload: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(payload, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn a_hundred_thousand_empty_frames_are_decoded_to_nothing() {
    // Each frame requires a window of 8 MiB and has one empty block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x01, 0x00, 0x00];
    let opened = open(&frame.repeat(100_000), &[("content-encoding", "zstd")], Framing::None);
    assert_eq!(opened.unwrap().0, b"");
}

#[test]
fn a_payload_with_a_content_encoding_is_decompressed() {
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..], &zstd(PAYLOAD)].concat();
    for (name, payload) in [
        ("gzip", gzip(PAYLOAD)),
        ("X-GZIP", gzip(PAYLOAD)),
        ("gzip", [gzip(&PAYLOAD[..1]), gzip(&PAYLOAD[1..])].concat()),
        ("zstd", zstd(PAYLOAD)),
        ("zstd", [zstd(&PAYLOAD[..1]), zstd(&PAYLOAD[1..])].concat()),
        ("zstd", skippable),
        ("identity", PAYLOAD.to_vec()),
        ("base64", PAYLOAD.to_vec()),
    ] {
        let opened = open(&payload, &[("content-encoding", name)], Framing::None);
        assert_eq!(opened.unwrap().0, PAYLOAD, "{name}");
    }
    let any = fields(&[(1, b"x/a.B"), (2, PAYLOAD)]);
    assert_eq!(open(&gzip(&any), &[("content-encoding", "gzip")], Framing::Any).unwrap().0, PAYLOAD);
}

#[test]
fn a_payload_is_decompressed_up_to_the_limit() {
    for (name, encode) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        let most = vec![0; 100_000];
        assert_eq!(open(&encode(&most), &[("content-encoding", name)], Framing::None).unwrap().0, most);
        let bomb = encode(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000, "{} bytes of {name}", bomb.len());
        for bomb in [bomb, encode(&vec![0; 100_001]), encode(&most).repeat(2)] {
            let error = refused(&bomb, &[("content-encoding", name)], Framing::None);
            assert_eq!(
                error,
                format!(
                    "the payload has more than 100000 bytes after its {name} is decompressed; to allow this size, raise `envelope.max_payload_bytes`\n"
                )
            );
        }
    }
}

#[test]
fn a_payload_that_is_not_in_its_stated_encoding_is_refused() {
    let (mut cut, mut flipped) = (gzip(PAYLOAD), zstd(PAYLOAD));
    cut.pop();
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    // This frame requires a window of 2 GiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let with = |encoding, payload: &[u8]| refused(payload, &[("content-encoding", encoding)], Framing::None);
    insta::assert_snapshot!(
        [
            with("br", PAYLOAD),
            with("gzip", PAYLOAD),
            with("gzip", &cut),
            with("zstd", PAYLOAD),
            with("zstd", &gzip(PAYLOAD)),
            with("zstd", &flipped),
            with("zstd", &window),
        ]
        .concat(),
        @"
    `content-encoding` is `br`; only gzip and zstd are supported; send one of them, or no `content-encoding`
    the payload is not gzip, although its `content-encoding` says so (unexpected end of file); encode it, or remove the attribute
    the payload is not gzip, although its `content-encoding` says so (unexpected end of file); encode it, or remove the attribute
    the payload is not zstd, although its `content-encoding` says so (there is no zstd frame); encode it, or remove the attribute
    the payload is not zstd, although its `content-encoding` says so (there is no zstd frame); encode it, or remove the attribute
    the payload is not zstd, although its `content-encoding` says so (its checksum is wrong); encode it, or remove the attribute
    the payload is not zstd, although its `content-encoding` says so (Specified window_size is too big; Requested: 2147483648, Max: 8388608); encode it, or remove the attribute
    "
    );
}

#[test]
fn the_type_attribute_takes_precedence_over_the_content_type() {
    for (content_type, expected) in [
        ("application/protobuf; messageType=a.B", Some("a.B")),
        ("application/x-protobuf;MESSAGETYPE=\"a.B\"", Some("a.B")),
        ("application/x-protobuf; charset=utf-8; proto = a.B ; x=y", Some("a.B")),
        ("application/x-protobuf; q=\";proto=a.C\"; proto=\"a.\\B\"", Some("a.B")),
        ("application/x-protobuf; flag; proto=a.B", Some("a.B")),
        ("application/x-protobuf; proto=; messageType=a.B", Some("a.B")),
        ("application/x-protobuf", None),
        ("application/x-protobuf;", None),
        ("application/x-protobuf; proto=\"a.B", None),
        ("application/x-protobuf; prototype=a.B", None),
    ] {
        let opened = open(PAYLOAD, &[("content-type", content_type)], Framing::None).unwrap().1;
        assert_eq!(opened.stated.as_deref(), expected, "{content_type}");
    }
    let both = [("content-type", "application/x-protobuf; proto=a.B"), ("message-type", "a.C")];
    assert_eq!(open(PAYLOAD, &both, Framing::None).unwrap().1.stated.as_deref(), Some("a.C"));
}

#[test]
fn a_body_can_point_to_an_object() {
    fn pointer(body: &str) -> Result<Option<String>, String> {
        let attributes = HashMap::new();
        let outer = Outer::read(body, &attributes);
        let pointer = outer.pointer(&config::Envelope::default()).map_err(|error| error.to_string())?;
        Ok(pointer.map(|pointer| pointer.to_string()))
    }
    let target = r#"{"s3BucketName":"large","s3Key":"a/b"}"#;
    for class in ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"]
    {
        let body = format!(r#"["{class}",{target}]"#);
        assert_eq!(pointer(&body), Ok(Some("s3://large/a/b".into())));
        let notification = serde_json::json!({"Type": "Notification", "Message": body});
        assert_eq!(pointer(&notification.to_string()), Ok(Some("s3://large/a/b".into())));
        let lacking = pointer(&format!(r#"["{class}",{{"s3BucketName":"large"}}]"#));
        assert_eq!(
            lacking,
            Err("the body is an S3 pointer of the extended client without s3Key; it must have `s3BucketName` and `s3Key`".into())
        );
    }
    for other in ["CAE=", "[", "[]", r#"["a.B",{}]"#, r#"[1,2]"#] {
        assert_eq!(pointer(other), Ok(None), "{other}");
    }
    let attributes = HashMap::from([("payload".to_owned(), attribute("Binary", None, Some(PAYLOAD)))]);
    let body = format!(r#"["com.amazon.sqs.javamessaging.MessageS3Pointer",{target}]"#);
    assert_eq!(Outer::read(&body, &attributes).pointer(&config::Envelope::default()).unwrap(), None);
    let attributes = HashMap::new();
    let opened =
        Outer::read(&body, &attributes).open(Some(b"+/8A\n"), &config::Envelope::default(), Framing::None, &mut ());
    assert_eq!(&*opened.unwrap().payload, PAYLOAD);
}
