//! `protobridge transcode`, which converts the wire format to JSON.

use insta::assert_snapshot;
use protobridge::cli::embedded::samples::{Sample, Samples};

use crate::command::{self, protobridge};
use crate::oracle;

const DESCRIPTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors");

/// `shop.v1.Money {currency: "EUR", amount_minor: 1999}`
const MONEY: &[u8] = b"\x0a\x03EUR\x10\xcf\x0f";

/// Hides the codec's message about a malformed payload, which the codec's own tests check.
const WHERE_AND_WHY: (&str, &str) = ("(error: malformed_protobuf: ).*", "${1}[where and why]");

/// Runs the command with these arguments and this input. Returns its output and its exit code as text.
fn transcode(arguments: &[&str], input: &[u8]) -> String {
    let ended = command::run(protobridge().args(["transcode", "--descriptors", DESCRIPTORS]).args(arguments), input);
    let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    format!("{}{}exit code {code}", ended.stdout, ended.stderr)
}

#[test]
fn raw_input_is_one_message() {
    assert_snapshot!(transcode(&["--type", "shop.v1.Money"], MONEY), @r#"
    {"currency":"EUR","amountMinor":"1999"}
    exit code 0
    "#);
    assert_snapshot!(transcode(&["--type", "shop.v1.Money"], b""), @"
    {}
    exit code 0
    ");
}

#[test]
fn malformed_raw_input_fails() {
    insta::with_settings!({filters => [WHERE_AND_WHY]}, {
        assert_snapshot!(transcode(&["--type", "shop.v1.Money"], &MONEY[..4]), @"
        error: malformed_protobuf: [where and why]
        exit code 1
        ");
    });
}

#[test]
fn each_input_line_gives_one_output_line_and_a_bad_line_fails_the_command() {
    let input = "\
shop.v1.Money\tCgNFVVIQzw8=
shop.v1.Money\tCgNFVVIQzw8
.shop.v1.Money\tCgNFVVIQzw8=\r
no tab here
shop.v1.Mony\tCgNFVVIQzw8=
shop.v1.Money\t???

shop.v1.Money\tCgNF
shop.v1.Money\t
shop.v1.Money\tCgNKUFkQsQI=";
    insta::with_settings!({filters => [WHERE_AND_WHY]}, {
        assert_snapshot!(transcode(&["--input", "base64-lines"], input.as_bytes()), @r#"
        {"currency":"EUR","amountMinor":"1999"}
        {"currency":"EUR","amountMinor":"1999"}
        {"currency":"EUR","amountMinor":"1999"}
        error: bad_envelope: the line has no tab; write TYPE<TAB>BASE64, or use --type
        error: unknown_type: no descriptor set defines shop.v1.Mony; did you mean shop.v1.Money?
        error: bad_envelope: the line is not base64: Invalid symbol 63, offset 0.
        error: bad_envelope: the line has no tab; write TYPE<TAB>BASE64, or use --type
        error: malformed_protobuf: [where and why]
        {}
        {"currency":"JPY","amountMinor":"305"}
        exit code 1
        "#);
    });
}

#[test]
fn lines_hold_only_base64_if_a_type_is_given() {
    let arguments = ["--input", "base64-lines", "--type", "shop.v1.Money"];
    assert_snapshot!(transcode(&arguments, b"CgNFVVIQzw8=\n\n"), @r#"
    {"currency":"EUR","amountMinor":"1999"}
    {}
    exit code 0
    "#);
}

#[test]
fn a_line_that_is_not_text_gives_an_error_line() {
    assert_snapshot!(transcode(&["--input", "base64-lines"], b"\xff\xfe\nshop.v1.Money\tCgNFVVIQzw8=\n"), @r#"
    error: bad_envelope: the line is not UTF-8
    {"currency":"EUR","amountMinor":"1999"}
    exit code 1
    "#);
}

#[test]
fn a_profile_changes_the_json() {
    let arguments = ["--type", "shop.v1.Money", "--profile", "field-names=proto,int64=number,emit-defaults=true"];
    assert_snapshot!(transcode(&arguments, &MONEY[5..]), @r#"
    {"currency":"","amount_minor":1999}
    exit code 0
    "#);
    assert_snapshot!(transcode(&["--type", "shop.v1.Money", "--profile", "int64=float"], MONEY), @"
    error: invalid value 'int64=float' for '--profile <NAME or KEY=VALUE,…>': `int64=float` is not one of field-names=json|proto, int64=string|number, enums=name|number, bytes=base64|base64url|hex, unknown-any=refuse|bytes, invalid-utf8=refuse|replace, emit-defaults=true|false

    For more information, try '--help'.
    exit code 2
    ");
}

#[test]
fn a_configuration_has_the_profiles_and_the_customers() {
    let with_config = |arguments: &[&str]| {
        let mut command = protobridge();
        let command =
            command.args(["transcode", "--config", "examples/shop/protobridge.yaml", "--type", "shop.v1.Money"]);
        let command = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
        let ended = command::run(command, MONEY);
        let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        format!("{}{}exit code {code}", ended.stdout, ended.stderr)
    };
    let canonical = "{\"currency\":\"EUR\",\"amountMinor\":\"1999\"}\nexit code 0";
    let compact = "{\"currency\":\"EUR\",\"amount_minor\":1999}\nexit code 0";
    assert_eq!(with_config(&[]), canonical);
    assert_eq!(with_config(&["--customer", "acme"]), canonical);
    assert_eq!(with_config(&["--customer", "initech"]), compact);
    assert_eq!(with_config(&["--profile", "compact"]), compact);
    assert_eq!(with_config(&["--profile", "int64=number,field-names=proto"]), compact);
    assert_eq!(with_config(&["--profile", "compact", "--descriptors", DESCRIPTORS]), compact);
    // The profile that is given wins, and the customer must exist nevertheless.
    assert_eq!(with_config(&["--profile", "compact", "--customer", "acme"]), compact);
    assert_eq!(with_config(&["--profile", "default", "--customer", "initech"]), canonical);
    assert_eq!(
        with_config(&["--customer", "initech", "--profile", "int64=number"]),
        canonical.replace("\"1999\"", "1999")
    );
    let unknown = with_config(&["--profile", "compact", "--customer", "initec"]);
    assert!(unknown.starts_with("error: examples/shop/customers.yaml has no customer initec;"), "{unknown}");
    assert_snapshot!(with_config(&["--profile", "compakt"]), @"
    error: there is no profile compakt; did you mean compact?
    exit code 1
    ");
    assert_snapshot!(with_config(&["--customer", "initec"]), @"
    error: examples/shop/customers.yaml has no customer initec; did you mean initech?
    exit code 1
    ");
    assert_snapshot!(transcode(&["--type", "shop.v1.Money", "--profile", "compact"], MONEY), @"
    error: a profile name such as compact requires a configuration; use --config FILE, or spell the profile out as KEY=VALUE,…
    exit code 1
    ");
}

#[test]
fn a_json_over_the_limit_is_an_error_that_names_the_limit() {
    assert_snapshot!(transcode(&["--type", "shop.v1.Money", "--max-bytes", "39"], MONEY), @r#"
    {"currency":"EUR","amountMinor":"1999"}
    exit code 0
    "#);
    assert_snapshot!(transcode(&["--type", "shop.v1.Money", "--max-bytes", "38"], MONEY), @"
    error: too_large: JSON too large at byte 8 in shop.v1.Money: it exceeds the limit of 38 bytes
    exit code 1
    ");
}

#[test]
fn the_error_suggests_a_known_type_for_an_unknown_one() {
    let end = transcode(&["--type", "shop.v1.OrderPlacd"], b"");
    assert_snapshot!(end.replace(DESCRIPTORS, "descriptors"), @"
    error: no descriptor set in descriptors defines the message type shop.v1.OrderPlacd; did you mean shop.v1.OrderPlaced?
    exit code 1
    ");
}

#[test]
fn raw_input_without_a_type_is_wrong_usage() {
    assert_snapshot!(transcode(&[], MONEY), @"
    error: --input raw requires --type, because the wire format does not contain the name of the type; see --help
    exit code 2
    ");
}

#[test]
fn the_error_names_a_missing_descriptor_path() {
    let ended = command::run(protobridge().args(["transcode", "--descriptors", "nowhere", "--type", "a.B"]), b"");
    assert_snapshot!(ended.stderr, @"
    error: --descriptors: cannot read descriptors at nowhere: No such file or directory (os error 2); it must be a folder of compiled sets, or one compiled set
    ");
    assert_eq!(ended.code, Some(1));
}

#[test]
fn every_kind_of_event_is_rendered_exactly() {
    let mut samples = Samples::new(7);
    let events: Vec<Sample> = (0..200).map(|_| samples.next_event(&["acme", "globex"])).collect();
    let line = |event: &Sample| format!("{}\t{}\n", event.message_type, base64(&event.payload));
    let input: String = events.iter().map(line).collect();
    let arguments = ["transcode", "--descriptors", DESCRIPTORS, "--input", "base64-lines"];
    let ended = command::run(protobridge().args(arguments), input.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(&events) {
        assert_eq!(oracle::parse(line), oracle::json(event));
    }
}

fn base64(payload: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(payload)
}
