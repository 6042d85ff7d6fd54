use crate::{Wire, check, error};

const LISTS: &str = "cases.v1.Lists";

#[test]
fn packed_and_unpacked_records_form_one_list_in_order_of_arrival() {
    check(LISTS, Wire::new().packed(1, &[1, 0, 2]), r#"{"numbers":[1,0,2]}"#);
    check(LISTS, Wire::new().varint(1, 1).varint(1, 0), r#"{"numbers":[1,0]}"#);
    check(
        LISTS,
        Wire::new().varint(1, 1).packed(1, &[2, 3]).varint(1, 4).packed(1, &[]).packed(1, &[5]),
        r#"{"numbers":[1,2,3,4,5]}"#,
    );
    check(LISTS, Wire::new().bytes(5, &[0; 8]).double(5, 1.0), r#"{"doubles":[0,1]}"#);
}

#[test]
fn empty_lists_are_left_out() {
    check(LISTS, Wire::new().packed(1, &[]).packed(4, &[]), "{}");
}

#[test]
fn elements_keep_their_zeros() {
    check(
        LISTS,
        Wire::new()
            .string(2, "")
            .message(3, Wire::new())
            .packed(4, &[0])
            .packed(6, &[0])
            .bytes(7, b"")
            .packed(8, &[0, 1]),
        r#"{"texts":[""],"inner":[{}],"colors":["COLOR_UNSPECIFIED"],"big":["0"],"datas":[""],"bools":[false,true]}"#,
    );
}

#[test]
fn elements_are_spelled_like_single_values() {
    check(
        LISTS,
        Wire::new()
            .packed(1, &[u64::MAX])
            .packed(4, &[1, 9])
            .double(5, f64::NAN)
            .packed(6, &[1, 2])
            .message(9, Wire::new()),
        r#"{"numbers":[-1],"colors":["COLOR_RED",9],"doubles":["NaN"],"big":["-1","1"],"times":["1970-01-01T00:00:00Z"]}"#,
    );
}

#[test]
fn a_list_split_by_other_fields_is_joined() {
    check(
        LISTS,
        Wire::new()
            .string(2, "a")
            .message(3, Wire::new().varint(1, 1))
            .string(2, "b")
            .message(3, Wire::new())
            .string(2, "c"),
        r#"{"texts":["a","b","c"],"inner":[{"numbers":[1]},{}]}"#,
    );
}

#[test]
fn a_packed_record_that_ends_inside_a_value_is_refused() {
    insta::assert_snapshot!(error(LISTS, Wire::new().bytes(1, &[1, 0x80])), @"malformed protobuf at byte 3 in cases.v1.Lists.numbers: varint runs past the end");
    insta::assert_snapshot!(error(LISTS, Wire::new().bytes(5, &[0; 9])), @"malformed protobuf at byte 10 in cases.v1.Lists.doubles: 64-bit value runs past the end");
}
