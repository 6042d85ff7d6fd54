use crate::{Wire, check, error};

const SCALARS: &str = "cases.v1.Scalars";
const DEEP: &str = "cases.v1.Deep";

#[test]
fn a_truncated_payload_is_refused_with_the_offset() {
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x80])), @"malformed protobuf at byte 0 in cases.v1.Scalars: varint runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x18])), @"malformed protobuf at byte 1 in cases.v1.Scalars.int32_: varint runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x18, 0xff])), @"malformed protobuf at byte 1 in cases.v1.Scalars.int32_: varint runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x09, 0, 0, 0, 0, 0, 0, 0])), @"malformed protobuf at byte 1 in cases.v1.Scalars.double_: 64-bit value runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x15, 0, 0, 0])), @"malformed protobuf at byte 1 in cases.v1.Scalars.float_: 32-bit value runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x72, 5, b'a'])), @"malformed protobuf at byte 1 in cases.v1.Scalars.string_: length 5 runs past the end; the rest has 1 bytes");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x72])), @"malformed protobuf at byte 1 in cases.v1.Scalars.string_: varint runs past the end");
}

#[test]
fn a_truncation_inside_a_message_is_reported_with_the_field_path() {
    let inner = Wire::new().varint(1, 1).raw(&[0x10]);
    insta::assert_snapshot!(error(DEEP, Wire::new().message(1, Wire::new().message(3, inner.clone()))), @"malformed protobuf at byte 7 in cases.v1.Deep.child.children.level: varint runs past the end");
    insta::assert_snapshot!(error(DEEP, Wire::new().message(4, Wire::new().string(1, "k").message(2, inner))), @"malformed protobuf at byte 10 in cases.v1.Deep.named.value.level: varint runs past the end");
}

#[test]
fn a_truncated_unknown_field_is_refused() {
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 0)), @"malformed protobuf at byte 2 in cases.v1.Scalars: varint runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 1).raw(&[0; 7])), @"malformed protobuf at byte 2 in cases.v1.Scalars: 64-bit value runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 5).raw(&[0; 3])), @"malformed protobuf at byte 2 in cases.v1.Scalars: 32-bit value runs past the end");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 2).raw(&[4, 0, 0, 0])), @"malformed protobuf at byte 2 in cases.v1.Scalars: length 4 runs past the end; the rest has 3 bytes");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 3).varint(1, 1)), @"malformed protobuf at byte 2 in cases.v1.Scalars: group has no end");
}

#[test]
fn a_varint_has_at_most_64_bits() {
    let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    check(SCALARS, Wire::new().tag(6, 0).raw(&longest), r#"{"uint64":"18446744073709551615"}"#);
    let mut bits_65 = longest;
    bits_65[9] = 2;
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(6, 0).raw(&bits_65)), @"malformed protobuf at byte 1 in cases.v1.Scalars.uint64_: varint is longer than 64 bits");
    let bytes_11 = [0x80; 10];
    insta::assert_snapshot!(error(SCALARS, Wire::new().varint(3, 1).tag(6, 0).raw(&bytes_11).raw(&[1])), @"malformed protobuf at byte 3 in cases.v1.Scalars.uint64_: varint is longer than 64 bits");
}

#[test]
fn an_invalid_tag_is_refused() {
    insta::assert_snapshot!(error(SCALARS, Wire::new().varint(3, 1).raw(&[0x00, 1])), @"malformed protobuf at byte 2 in cases.v1.Scalars: field number 0");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x02, 0])), @"malformed protobuf at byte 0 in cases.v1.Scalars: field number 0");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x0e, 1])), @"malformed protobuf at byte 0 in cases.v1.Scalars: unknown wire type");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x0f, 1])), @"malformed protobuf at byte 0 in cases.v1.Scalars: unknown wire type");
    insta::assert_snapshot!(error(SCALARS, Wire::new().raw(&[0x80, 0x80, 0x80, 0x80, 0x10, 0])), @"malformed protobuf at byte 0 in cases.v1.Scalars: field number is too large");
}

#[test]
fn groups_without_a_matching_end_are_refused() {
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(3, 4)), @"malformed protobuf at byte 0 in cases.v1.Scalars: end-group without a group");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 4)), @"malformed protobuf at byte 0 in cases.v1.Scalars: end-group without a group");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 3).tag(101, 4)), @"malformed protobuf at byte 2 in cases.v1.Scalars: end-group of another group");
    insta::assert_snapshot!(error(SCALARS, Wire::new().tag(100, 3).tag(101, 3).tag(100, 4).tag(101, 4)), @"malformed protobuf at byte 4 in cases.v1.Scalars: end-group of another group");
    insta::assert_snapshot!(error(DEEP, Wire::new().message(1, Wire::new().tag(100, 3)).tag(100, 4)), @"malformed protobuf at byte 4 in cases.v1.Deep.child: group has no end");
}

#[test]
fn lengths_near_64_bits_are_refused() {
    for length in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 32, u64::from(u32::MAX)] {
        for (number, place) in [(14, "cases.v1.Scalars.string_"), (100, "cases.v1.Scalars"), (3, "cases.v1.Scalars")] {
            let mut wire = Wire::new().tag(number, 2);
            let at = wire.0.len();
            crate::wire::put_varint(&mut wire.0, length);
            assert_eq!(
                error(SCALARS, wire.raw(b"abc")),
                format!(
                    "malformed protobuf at byte {at} in {place}: length {length} runs past the end; the rest has 3 bytes"
                )
            );
        }
    }
}

#[test]
fn a_malformed_record_is_refused_even_if_another_replaces_it() {
    const PRESENCE: &str = "cases.v1.Presence";
    let broken = Wire::new().raw(&[8]);
    for order in ["first", "after a field of a higher number"] {
        let start = || if order == "first" { Wire::new() } else { Wire::new().varint(12, 1) };
        insta::allow_duplicates! {
            assert!(error(PRESENCE, start().bytes(2, b"\xff").string(2, "x")).contains("string is not UTF-8"), "{order}");
            assert!(error(PRESENCE, start().bytes(9, b"\xff").varint(8, 1)).contains("string is not UTF-8"), "{order}");
            assert!(error(PRESENCE, start().message(10, broken.clone()).varint(8, 1)).contains("past the end"), "{order}");
        }
    }
}
