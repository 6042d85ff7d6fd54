use crate::{Wire, check, error};

const LEGACY: &str = "cases.v2.Legacy";
const STRICT: &str = "cases.v2.Strict";

#[test]
fn scalars_have_presence_and_defaults_are_not_written() {
    check(LEGACY, Wire::new(), "{}");
    check(LEGACY, Wire::new().varint(1, 0).string(2, ""), r#"{"number":0,"text":""}"#);
    check(LEGACY, Wire::new().varint(1, 7), r#"{"number":7}"#);
}

#[test]
fn a_string_that_is_not_utf_8_is_refused() {
    insta::assert_snapshot!(error(LEGACY, Wire::new().bytes(2, b"\xff")), @"invalid UTF-8 at byte 2 in cases.v2.Legacy.text: string is not UTF-8");
}

#[test]
fn unknown_numbers_of_a_closed_enum_are_kept() {
    check(LEGACY, Wire::new().varint(3, 2), r#"{"size":"SIZE_LARGE"}"#);
    check(LEGACY, Wire::new().varint(3, 0), r#"{"size":0}"#);
    check(LEGACY, Wire::new().varint(4, 1).varint(4, 9), r#"{"sizes":["SIZE_SMALL",9]}"#);
    check(LEGACY, Wire::new().message(7, Wire::new().string(1, "k").varint(2, 9)), r#"{"byName":{"k":9}}"#);
}

#[test]
fn a_missing_map_value_is_the_first_number_of_a_closed_enum() {
    check(LEGACY, Wire::new().message(7, Wire::new().string(1, "k")), r#"{"byName":{"k":"SIZE_SMALL"}}"#);
}

#[test]
fn groups_are_written_as_messages_under_their_name() {
    check(
        LEGACY,
        Wire::new()
            .group(5, Wire::new().varint(1, 1).string(2, "x"))
            .group(6, Wire::new().varint(1, 2))
            .group(6, Wire::new()),
        r#"{"part":{"id":1,"name":"x"},"many":[{"id":2},{}]}"#,
    );
    check(
        LEGACY,
        Wire::new().group(5, Wire::new().message(3, Wire::new().group(5, Wire::new()))),
        r#"{"part":{"legacy":{"part":{}}}}"#,
    );
}

#[test]
fn groups_are_sorted_and_merged_like_messages() {
    check(LEGACY, Wire::new().group(5, Wire::new().string(2, "x").varint(1, 1)), r#"{"part":{"id":1,"name":"x"}}"#);
    check(
        LEGACY,
        Wire::new().group(5, Wire::new().varint(1, 1)).varint(1, 1).group(5, Wire::new().string(2, "x")),
        r#"{"number":1,"part":{"id":1,"name":"x"}}"#,
    );
    check(
        LEGACY,
        Wire::new().group(6, Wire::new().varint(1, 2)).varint(1, 1).group(6, Wire::new()),
        r#"{"number":1,"many":[{"id":2},{}]}"#,
    );
}

#[test]
fn a_group_in_a_oneof_starts_empty_after_another_member() {
    let id = || Wire::new().group(10, Wire::new().varint(1, 1));
    let count = || Wire::new().group(10, Wire::new().varint(2, 2));
    check(LEGACY, id().raw(&count().0), r#"{"other":{"id":1,"count":2}}"#);
    check(LEGACY, id().varint(9, 1).raw(&count().0), r#"{"other":{"count":2}}"#);
    check(LEGACY, id().varint(9, 1), r#"{"either":"SIZE_SMALL"}"#);
}

#[test]
fn a_group_without_an_end_is_refused() {
    insta::assert_snapshot!(error(LEGACY, Wire::new().tag(5, 3).varint(1, 1)), @"malformed protobuf at byte 1 in cases.v2.Legacy.part: group has no end");
    insta::assert_snapshot!(error(LEGACY, Wire::new().tag(5, 3).tag(6, 4)), @"malformed protobuf at byte 1 in cases.v2.Legacy.part: end-group of another group");
    insta::assert_snapshot!(error(LEGACY, Wire::new().varint(8, 1).tag(5, 3).tag(6, 4)), @"malformed protobuf at byte 3 in cases.v2.Legacy.part: end-group of another group");
}

#[test]
fn a_group_that_ends_inside_a_nested_message_is_refused() {
    insta::assert_snapshot!(error(LEGACY, Wire::new().tag(5, 3).message(3, Wire::new().tag(5, 4))), @"malformed protobuf at byte 3 in cases.v2.Legacy.part.legacy: end-group without a group");
}

#[test]
fn a_missing_required_field_is_an_error() {
    check(STRICT, Wire::new().varint(1, 0).string(2, ""), r#"{"id":0,"name":""}"#);
    insta::assert_snapshot!(error(STRICT, Wire::new()), @"required field missing at byte 0 in cases.v2.Strict: id is not set");
    insta::assert_snapshot!(error(STRICT, Wire::new().varint(1, 1)), @"required field missing at byte 0 in cases.v2.Strict: name is not set");
    insta::assert_snapshot!(error(STRICT, Wire::new().string(2, "")), @"required field missing at byte 0 in cases.v2.Strict: id is not set");
    let inside = Wire::new().varint(1, 1).string(2, "x").message(3, Wire::new().varint(1, 2));
    insta::assert_snapshot!(error(STRICT, inside.clone()), @"required field missing at byte 7 in cases.v2.Strict.next: name is not set");
    insta::assert_snapshot!(error(LEGACY, Wire::new().message(11, inside)), @"required field missing at byte 9 in cases.v2.Legacy.strict.next: name is not set");
}

#[test]
fn a_required_field_with_another_wire_type_counts_as_missing() {
    insta::assert_snapshot!(error(STRICT, Wire::new().string(1, "x").string(2, "x")), @"required field missing at byte 0 in cases.v2.Strict: id is not set");
}

#[test]
fn required_fields_can_come_in_any_order() {
    check(STRICT, Wire::new().string(2, "x").varint(1, 1), r#"{"id":1,"name":"x"}"#);
    let entry = Wire::new().string(1, "k").message(2, Wire::new().string(2, "y").varint(1, 2));
    check(
        STRICT,
        Wire::new().message(4, entry).string(2, "x").varint(1, 1),
        r#"{"id":1,"name":"x","named":{"k":{"id":2,"name":"y"}}}"#,
    );
}

#[test]
fn extensions_are_written_under_their_full_name() {
    check(
        LEGACY,
        Wire::new()
            .varint(1, 1)
            .string(100, "x")
            .packed(101, &[1, 2])
            .message(102, Wire::new().varint(1, 1).string(2, "y"))
            .varint(103, 2),
        concat!(
            r#"{"number":1,"[cases.v2.label]":"x","[cases.v2.counts]":[1,2],"#,
            r#""[cases.v2.strict_extension]":{"id":1,"name":"y"},"[cases.v2.Scope.scoped_size]":"SIZE_LARGE"}"#
        ),
    );
    check(LEGACY, Wire::new().string(100, "").varint(150, 1), r#"{"[cases.v2.label]":""}"#);
    insta::assert_snapshot!(error(LEGACY, Wire::new().message(102, Wire::new())), @"required field missing at byte 3 in cases.v2.Legacy.[cases.v2.strict_extension]: id is not set");
}

fn item(type_id: u64, payload: Wire) -> Wire {
    Wire::new().group(1, Wire::new().varint(2, type_id).message(3, payload))
}

#[test]
fn a_message_set_is_written_as_its_extensions() {
    let set = item(1_547_769, Wire::new().varint(1, 1)).raw(&item(135_497, Wire::new().varint(1, 1)).0);
    check(
        "cases.v2.Holder",
        Wire::new().message(1, set),
        r#"{"set":{"[cases.v2.Other.other]":{"flag":true},"[cases.v2.Item.item]":{"number":1}}}"#,
    );
}

#[test]
fn items_of_a_message_set_are_read_in_every_wire_form() {
    let payload_first =
        Wire::new().group(1, Wire::new().message(3, Wire::new().varint(1, 1)).varint(9, 9).varint(2, 135_497));
    check("cases.v2.Set", payload_first, r#"{"[cases.v2.Other.other]":{"flag":true}}"#);
    check(
        "cases.v2.Set",
        Wire::new().message(135_497, Wire::new().varint(1, 1)),
        r#"{"[cases.v2.Other.other]":{"flag":true}}"#,
    );
    check("cases.v2.Set", item(77, Wire::new().varint(1, 1)).varint(1, 1).message(99, Wire::new()), "{}");
    check("cases.v2.Set", Wire::new().group(1, Wire::new()), "{}");
    let merged = item(1_547_769, Wire::new().varint(1, 1)).raw(&item(1_547_769, Wire::new().string(2, "x")).0);
    check("cases.v2.Set", merged, r#"{"[cases.v2.Item.item]":{"number":1,"text":"x"}}"#);
}
