use std::collections::BTreeSet;

use super::super::Config;
use super::*;

fn all_names() -> Vec<String> {
    let mut known = Vec::new();
    names(&Shape::of::<Config>(), PREFIX.trim_end_matches('_'), "0", &mut known);
    known
}

#[test]
fn no_two_keys_share_a_variable() {
    let known = all_names();
    assert!(known.iter().any(|name| name == "PROTOBRIDGE_PUBLISH_LINGER_MS"), "{known:#?}");
    assert_eq!(known.iter().collect::<BTreeSet<_>>().len(), known.len(), "{known:#?}");
}

#[test]
fn every_name_leads_back_to_its_key() {
    let shape = Shape::of::<Config>();
    for name in all_names() {
        let target = resolve(&shape, &name[PREFIX.len()..], None).unwrap_or_else(|| panic!("{name} is not resolved"));
        let path: Vec<_> = target
            .steps
            .iter()
            .map(|step| match step {
                Step::Key(key) => key.to_uppercase(),
                Step::Index(index) => index.to_string(),
            })
            .collect();
        assert_eq!(format!("{PREFIX}{}", path.join("_")), name);
    }
}

#[test]
fn no_key_is_taken_for_a_variable_of_kubernetes() {
    for name in all_names() {
        assert!(!is_foreign(&name[PREFIX.len()..], ""), "{name}");
    }
}

#[test]
fn variables_of_kubernetes_and_of_the_tests_are_ignored() {
    for (name, value) in [
        ("PROTOBRIDGE_SERVICE_HOST", "10.0.0.1"),
        ("PROTOBRIDGE_SERVICE_PORT", "8080"),
        ("PROTOBRIDGE_SERVICE_PORT_ADMIN", "8080"),
        ("PROTOBRIDGE_PORT", "tcp://10.0.0.1:8080"),
        ("PROTOBRIDGE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PROTOBRIDGE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("PROTOBRIDGE_PORT_8080_TCP_PORT", "8080"),
        ("PROTOBRIDGE_PORT_8080_TCP_PROTO", "tcp"),
        ("PROTOBRIDGE_PORT_53_UDP_ADDR", "10.0.0.1"),
        // A Service called protobridge-metrics.
        ("PROTOBRIDGE_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("PROTOBRIDGE_METRICS_PORT", "tcp://10.0.0.1:9090"),
        ("PROTOBRIDGE_METRICS_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("PROTOBRIDGE_TEST_MINISTACK", "1"),
    ] {
        let mut tree = tree::parse("").unwrap();
        let problems = apply(&Shape::of::<Config>(), &mut tree, [(name.to_owned(), value.to_owned())]);
        assert_eq!(problems, [], "{name}");
        assert!(matches!(tree.value, Value::Null), "{name}");
    }
    for name in
        ["PROTOBRIDGE_SERVICE_HOSTS", "PROTOBRIDGE_PORT_TCP", "PROTOBRIDGE_PORT_X_TCP", "PROTOBRIDGE_PORT_1_ADDR"]
    {
        assert!(!is_foreign(&name[PREFIX.len()..], "8080"), "{name}");
    }
}
