//! Tests of the largest size of an entry.

use super::*;

#[test]
fn empty_messages_whose_defaults_would_fill_a_gigabyte_are_too_large_at_once() {
    assert!(gzip(&children()).len() < 5_000);
    let detail = stage().too_large(&children(), Some("full"));
    let topic = "arn:aws:sns:eu-west-1:123456789012:full";
    let end = format!(" in t.Node.children: it exceeds the limit of {MAX_ENTRY_BYTES} bytes that {topic} accepts (");
    assert!(detail.starts_with("JSON too large at byte ") && detail.contains(&end), "{detail}");
}

#[test]
fn packed_enums_with_a_long_name_are_too_large_at_once() {
    let detail = stage().too_large(&colors(), Some("plain"));
    assert!(detail.contains(" in t.Node.colors: it exceeds the limit of 262144 bytes that "), "{detail}");
}

#[test]
fn an_event_that_only_its_attributes_make_too_large_has_the_sizes_in_its_detail() {
    let mut stage = stage();
    stage.rules.customer_mismatch = config::CustomerMismatch::Attribute;
    let detail = stage.too_large(&text(MAX_ENTRY_BYTES - 100), Some("plain"));
    assert!(detail.contains(" bytes of JSON and attributes exceed the limit of 262144 bytes that arn:"), "{detail}");
}
