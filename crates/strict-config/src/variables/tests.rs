use std::fs;

use super::*;
use crate::document_with_variables;
use crate::toy::Library;

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
        assert_eq!(target.key(), key, "{name}");
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

/// Loads an empty document with variables `NAME=value`, which can name files in `folder`.
fn load_with_files(folder: &Path, values: &[&str]) -> Result<Library, String> {
    let values = values.iter().filter_map(|value| value.split_once('='));
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables = Variables::new("LIBRARY_", values).read_files_in(folder);
    let result = document_with_variables("a.yaml".as_ref(), "", &variables, |_: &Library| Vec::new());
    result.map_err(|error| error.to_string().replace(&folder.display().to_string(), "FOLDER"))
}

#[test]
fn a_variable_can_name_a_file_with_the_value_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("name", " a secret \n"), ("width", "900\r\n\n"), ("shelf", "a\nb")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let absolute = format!("LIBRARY_NAME_FILE={}", folder.path().join("name").display());
    let values = [absolute.as_str(), "LIBRARY_DOOR_WIDTH_MM_FILE=width", "LIBRARY_SHELVES_0_ID_FILE=shelf"];
    let library = load_with_files(folder.path(), &values).unwrap();
    assert_eq!((library.name.as_str(), library.door.width_mm), (" a secret ", 900));
    assert_eq!(library.shelves[0].id, "a\nb", "only trailing line breaks are left out");
    let named = Variables::new("LIBRARY_", [("LIBRARY_NAME_FILE".to_owned(), "name".to_owned())]);
    assert!(load_with_files(folder.path(), &[]).is_ok());
    assert_eq!(named.clone().read_files_in(folder.path()).files::<Library>(), [folder.path().join("name")]);
    assert!(named.files::<Library>().is_empty(), "without a folder there are no such variables");
}

#[test]
fn a_file_that_gives_no_value_is_a_problem_of_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(folder.path().join("binary"), b"\xFF").unwrap();
    fs::write(folder.path().join("text"), "wide\n").unwrap();
    let problems = |values: &[&str]| load_with_files(folder.path(), values).unwrap_err() + "\n";
    let each: String = [
        &["LIBRARY_NAME_FILE=missing"][..],
        &["LIBRARY_NAME_FILE=empty"],
        &["LIBRARY_NAME_FILE=binary"],
        &["LIBRARY_NAME_FILE="],
        &["LIBRARY_NAME_FILE=text", "LIBRARY_NAME=text"],
        &["LIBRARY_DOOR_WIDTH_MM_FILE=text"],
        &["LIBRARY_DOOR_WIDTH_FILE=text"],
        &["LIBRARY_DOOR_FILE=text"],
    ]
    .iter()
    .map(|values| problems(values))
    .collect();
    insta::assert_snapshot!(each, @r#"
    LIBRARY_NAME_FILE: name: cannot read FOLDER/missing: No such file or directory (os error 2)
    LIBRARY_NAME_FILE: name: the file FOLDER/empty is empty
    LIBRARY_NAME_FILE: name: cannot read FOLDER/binary: stream did not contain valid UTF-8
    LIBRARY_NAME_FILE: name: names no file
    LIBRARY_NAME_FILE: name: `LIBRARY_NAME` is set too; unset one of them
    LIBRARY_DOOR_WIDTH_MM_FILE: door.width_mm: expected an integer from 1 to 5000, found "wide"
    LIBRARY_DOOR_WIDTH_FILE: unknown variable; did you mean `LIBRARY_DOOR_WIDTH_MM_FILE`?
    LIBRARY_DOOR_FILE: unknown variable; a key's variable is its path in upper case, such as `LIBRARY_NAME`
    "#);
}
