use std::sync::LazyLock;

use protojson::Options;

use crate::{SCHEMA, Wire, check, error, json_with};

const DEEP: &str = "cases.v1.Deep";

/// Wraps `inside` in `levels` levels of `wrap`.
fn nest(levels: usize, inside: Wire, wrap: impl Fn(Wire) -> Wire) -> Wire {
    (0..levels).fold(inside, |wire, _| wrap(wire))
}

#[test]
fn a_hundred_levels_are_accepted_and_one_more_is_refused() {
    let child = |wire| Wire::new().message(1, wire);
    check(DEEP, nest(100, Wire::new(), child), &format!("{}{{}}{}", r#"{"child":"#.repeat(100), "}".repeat(100)));
    assert!(error(DEEP, nest(101, Wire::new(), child)).starts_with("nested too deeply at byte "));
    assert!(error(DEEP, nest(10_000, Wire::new(), child)).ends_with(": more than 100 levels of messages"));
}

#[test]
fn the_depth_limit_also_holds_for_records_out_of_order() {
    let child = |wire| Wire::new().varint(2, 1).message(1, wire);
    check(
        DEEP,
        nest(100, Wire::new(), child),
        &format!("{}{{}}{}", r#"{"child":"#.repeat(100), r#","level":1}"#.repeat(100)),
    );
    assert!(error(DEEP, nest(101, Wire::new(), child)).ends_with(": more than 100 levels of messages"));
}

#[test]
fn the_depth_limit_also_holds_for_messages_in_parts() {
    let child = |wire| Wire::new().message(1, Wire::new()).message(1, wire);
    check(DEEP, nest(100, Wire::new(), child), &format!("{}{{}}{}", r#"{"child":"#.repeat(100), "}".repeat(100)));
    assert!(error(DEEP, nest(101, Wire::new(), child)).ends_with(": more than 100 levels of messages"));
}

#[test]
fn the_depth_limit_also_holds_in_lists_and_maps() {
    let element = |wire| Wire::new().message(3, wire);
    check(
        DEEP,
        nest(100, Wire::new(), element),
        &format!("{}{{}}{}", r#"{"children":["#.repeat(100), "]}".repeat(100)),
    );
    assert!(error(DEEP, nest(101, Wire::new(), element)).starts_with("nested too deeply"));
    let entry = |wire| Wire::new().message(4, Wire::new().message(2, wire));
    check(DEEP, nest(100, Wire::new(), entry), &format!("{}{{}}{}", r#"{"named":{"":"#.repeat(100), "}}".repeat(100)));
    assert!(error(DEEP, nest(101, Wire::new(), entry)).starts_with("nested too deeply"));
}

#[test]
fn the_depth_limit_also_holds_for_values() {
    // A value in a list in a value adds two levels. The field itself adds one.
    let list = |wire| Wire::new().message(6, Wire::new().message(1, wire));
    check(
        DEEP,
        Wire::new().message(5, nest(49, Wire::new(), list)),
        &format!(r#"{{"value":{}null{}}}"#, "[".repeat(49), "]".repeat(49)),
    );
    assert!(error(DEEP, Wire::new().message(5, nest(50, Wire::new(), list))).starts_with("nested too deeply"));
}

#[test]
fn levels_inside_an_any_add_to_the_levels_around_it() {
    let any = |wire| Wire::new().message(6, Wire::new().string(1, "t/cases.v1.Deep").message(2, wire));
    check(
        DEEP,
        nest(50, Wire::new().varint(2, 1), any),
        &format!(r#"{}"level":1{}"#, r#"{"any":{"@type":"t/cases.v1.Deep","#.replacen(r#"{"any""#, r#""any""#, 1).repeat(50).replacen(r#""any""#, r#"{"any""#, 1), "}".repeat(51)),
    );
    assert!(error(DEEP, nest(51, Wire::new(), any)).starts_with("nested too deeply"));
    let any_of_any = |wire| Wire::new().string(1, "t/google.protobuf.Any").message(2, wire);
    assert!(error("google.protobuf.Any", nest(1000, Wire::new(), any_of_any)).starts_with("nested too deeply"));
}

#[test]
fn a_hundred_levels_fit_into_half_of_a_threads_stack_in_a_debug_build() {
    // A thread has 2 MiB of stack by default, and the caller needs a part of it.
    const STACK: usize = 1 << 20;
    let levels = || {
        let in_disorder = |wire: Wire| wire.varint(2, 1);
        check_nested(100, "child", |wire| in_disorder(Wire::new().message(1, wire)));
        check_nested(100, "child", |wire| Wire::new().message(1, Wire::new()).message(1, wire));
        check_nested(100, "children", |wire| in_disorder(Wire::new().message(3, wire)));
        check_nested(100, "named", |wire| in_disorder(Wire::new().message(4, Wire::new().message(2, wire))));
        check_nested(50, "any", |wire| {
            in_disorder(Wire::new().message(6, Wire::new().message(2, wire).string(1, "t/cases.v1.Deep")))
        });
    };
    LazyLock::force(&SCHEMA);
    std::thread::Builder::new().stack_size(STACK).spawn(levels).unwrap().join().unwrap();
}

/// Checks that a payload with this number of levels is written.
fn check_nested(levels: usize, field: &str, wrap: impl Fn(Wire) -> Wire) {
    let json = json_with(&SCHEMA, &Options::default(), DEEP, &nest(levels, Wire::new(), wrap)).unwrap();
    assert_eq!(json.matches(&format!("\"{field}\"")).count(), levels, "{json}");
}

#[test]
fn unknown_groups_count_as_levels() {
    let group = |wire| Wire::new().group(99, wire);
    check(DEEP, nest(100, Wire::new(), group), "{}");
    assert!(error(DEEP, nest(101, Wire::new(), group)).starts_with("nested too deeply"));
    let below = |levels| nest(99, nest(levels, Wire::new(), group), |wire| Wire::new().message(1, wire));
    check(DEEP, below(1), &format!("{}{{}}{}", r#"{"child":"#.repeat(99), "}".repeat(99)));
    assert!(error(DEEP, below(2)).starts_with("nested too deeply"));
    let bottom = nest(100, group(Wire::new()), |wire| Wire::new().message(1, wire));
    assert!(error(DEEP, bottom).starts_with("nested too deeply"));
}
