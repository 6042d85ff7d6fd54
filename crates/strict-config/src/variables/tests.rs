use super::resolve::Step;
use super::*;
use crate::document_with_variables;
use crate::toy::Library;
use crate::tree::index_of;

fn variables() -> Variables {
    Variables::new("LIBRARY_", [])
}

#[test]
fn every_variable_leads_back_to_its_key() {
    let shape = Shape::of::<Library>();
    let known = variables().of::<Library>();
    assert!(
        known.iter().any(|known| known.name == "LIBRARY_SHELVES_0_ID" && known.key == "shelves[0].id"),
        "{known:?}"
    );
    for Variable { name, key } in known {
        let target = resolve(&shape, &name["LIBRARY_".len()..], None).unwrap_or_else(|| panic!("{name} names no key"));
        let path = target.steps.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) => key_of(&path, key),
            Step::Index(index) => index_of(&path, *index),
        });
        assert_eq!(path, key, "{name}");
    }
}

#[test]
fn a_declared_exception_is_ignored() {
    let variables = |name: &str| {
        Variables::new("LIBRARY_", [(name.to_owned(), "1".to_owned())])
            .ignore("LIBRARY_CONFIG")
            .ignore_prefix("LIBRARY_TEST_")
    };
    let load = |name: &str| document_with_variables("a.yaml".as_ref(), "", &variables(name), |_: &Library| Vec::new());
    for name in ["LIBRARY_CONFIG", "LIBRARY_TEST_ONE"] {
        assert_eq!(load(name).unwrap(), Library::default(), "{name}");
    }
    for name in ["LIBRARY_CONFIGS", "LIBRARY_TESTS", "LIBRARY_SERVICE_HOST"] {
        assert!(load(name).unwrap_err().to_string().contains("unknown variable"), "{name}");
    }
}

#[test]
fn variables_of_kubernetes_services_are_ignored_on_request() {
    let variables = variables().ignore_kubernetes_services();
    for (name, value) in [
        ("LIBRARY_SERVICE_HOST", "10.0.0.1"),
        ("LIBRARY_SERVICE_PORT", "8080"),
        ("LIBRARY_SERVICE_PORT_ADMIN", "8080"),
        ("LIBRARY_PORT", "tcp://10.0.0.1:8080"),
        ("LIBRARY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("LIBRARY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("LIBRARY_PORT_8080_TCP_PORT", "8080"),
        ("LIBRARY_PORT_8080_TCP_PROTO", "tcp"),
        ("LIBRARY_PORT_53_UDP_ADDR", "10.0.0.1"),
        // A Service called library-metrics.
        ("LIBRARY_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("LIBRARY_METRICS_PORT", "tcp://10.0.0.1:9090"),
        ("LIBRARY_METRICS_PORT_9090_TCP_ADDR", "10.0.0.1"),
    ] {
        assert!(variables.ignores(name, value), "{name}");
    }
    for name in
        ["LIBRARY_SERVICE_HOSTS", "LIBRARY_PORT_TCP", "LIBRARY_PORT_X_TCP", "LIBRARY_PORT_1_ADDR", "LIBRARY_PORT"]
    {
        assert!(!variables.ignores(name, "8080"), "{name}");
    }
}

#[test]
fn values_are_not_shown_by_debug() {
    let variables = Variables::new("LIBRARY_", [("LIBRARY_NAME".to_owned(), "secret".to_owned())]);
    let shown = format!("{variables:?}");
    assert!(shown.contains("LIBRARY_NAME") && !shown.contains("secret"), "{shown}");
}
