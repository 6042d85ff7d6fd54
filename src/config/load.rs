//! From files and variables to typed values: read, override, check, deserialize, and report everything that is wrong
//! at once.

use std::net::SocketAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::check::check;
use super::problem::{Error, Problem};
use super::shape::Shape;
use super::{Admin, Config, tree, variables};

/// The configuration at `path`, with the values of `PROTOBRIDGE_…` variables in place of what the file says.
///
/// Each scalar key, and each list of texts, has a variable: its path in upper case, joined with `_`, such as
/// `PROTOBRIDGE_PUBLISH_LINGER_MS` or `PROTOBRIDGE_QUEUES_0_URL`. An index one past the end of the list appends; a key
/// of the user's choice is in lower case unless the file spells it differently; lists are separated by commas; an empty
/// value empties a list and unsets a key that may be absent. An empty file is all defaults. Relative paths, wherever
/// they are given, start at the file's folder.
///
/// # Errors
///
/// The file cannot be read or is not YAML, or everything that is wrong with it and with the variables.
pub fn file(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Config, Error> {
    let way_out = "; an annotated example: `protobridge config example`";
    let text = std::fs::read_to_string(path).map_err(|cause| Error::unreadable(path, cause, way_out))?;
    let mut config = read(path, &text, variables, Config::problems)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    config.descriptors.path = folder.join(&config.descriptors.path);
    config.route.customers_file = folder.join(&config.route.customers_file);
    if let Some(file) = &mut config.confluent.schemas_file {
        *file = folder.join(&*file);
    }
    Ok(config)
}

/// `admin.listen` alone, from the file at `path`, if one is named, and the variables: for whoever asks a service that runs, with
/// a file that may have been changed since. Nothing else in it is judged.
///
/// # Errors
///
/// The file cannot be read or is not YAML, or the address is none.
pub fn listen(path: Option<&Path>, variables: impl IntoIterator<Item = (String, String)>) -> Result<SocketAddr, Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct File {
        admin: Part,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Part {
        listen: Option<SocketAddr>,
    }
    const VARIABLE: &str = "PROTOBRIDGE_ADMIN_LISTEN";
    let wrong = |path: &Path, error: String| Error::new(path, vec![Problem::new("admin.listen", error)]);
    if let Some((_, value)) = variables.into_iter().find(|(name, _)| name == VARIABLE) {
        return value.parse().map_err(|error| wrong(Path::new(VARIABLE), format!("{value:?}: {error}")));
    }
    let Some(path) = path else { return Ok(Admin::default().listen) };
    let text = std::fs::read_to_string(path).map_err(|cause| Error::unreadable(path, cause, ""))?;
    let file: Option<File> = serde_saphyr::from_str(&text).map_err(|error| wrong(path, error.to_string()))?;
    Ok(file.unwrap_or_default().admin.listen.unwrap_or(Admin::default().listen))
}

/// The `PROTOBRIDGE_…` variables of this process, for [`file()`]. What is not Unicode has its odd bytes replaced, so
/// that it is refused rather than overlooked.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(move |(name, value)| (lossy(name), lossy(value)))
        .filter(|(name, _)| name.starts_with(variables::PREFIX))
}

/// The typed value of a YAML document that was read from `path`, held against the type's schema like [`file()`] does.
///
/// # Errors
///
/// The text is not YAML, or everything that does not fit the type.
pub fn document<T: DeserializeOwned + JsonSchema>(path: &Path, text: &str) -> Result<T, Error> {
    document_with(path, text, |_| Vec::new())
}

/// Like [`document`], with rules beyond types. They are judged together with the types, as far as the values they are
/// about could be read, and their problems get the positions of their keys.
///
/// # Errors
///
/// The text is not YAML, or everything that does not fit the type or the rules.
pub fn document_with<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    rules: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, Error> {
    read(path, text, [], rules)
}

fn read<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    rules: impl FnOnce(&T) -> Vec<Problem>,
) -> Result<T, Error> {
    let shape = Shape::of::<T>();
    let mut tree = tree::parse(text).map_err(|problem| Error::new(path, vec![problem]))?;
    let mut problems = variables::apply(&shape, &mut tree, variables);
    let mut checked = check(&shape, &tree);
    problems.append(&mut checked.problems);

    match T::deserialize(checked.value.take()) {
        Ok(value) => {
            let broken = rules(&value).into_iter().filter(|problem| checked.judges(&problem.key));
            problems.extend(broken.map(|problem| Problem { source: tree.locate(&problem.key), ..problem }));
            if problems.is_empty() {
                return Ok(value);
            }
        }
        // What was left out can make the rest unreadable; that has been reported.
        Err(_) if !problems.is_empty() => {}
        Err(error) => problems.push(Problem::new("", error.to_string())),
    }
    Err(Error::new(path, problems))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    const QUEUE: &str = "queues: [{url: http://localhost:4566/000000000000/events}]\n";

    /// Loads `yaml` from a file called `protobridge.yaml`, with the variables `NAME=value`.
    fn load(yaml: &str, env: &[&str]) -> (Result<Config, String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("protobridge.yaml");
        std::fs::write(&path, yaml).unwrap();
        let variables = env.iter().map(|variable| {
            let (name, value) = variable.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        let result = file(&path, variables).map_err(|error| {
            let folder = format!("{}/", folder.path().display());
            error.to_string().replace(&folder, "")
        });
        (result, folder)
    }

    fn problems(yaml: &str, env: &[&str]) -> String {
        load(yaml, env).0.unwrap_err()
    }

    /// The problem of each of these, beside a good queue.
    fn each_of(yamls: &[&str]) -> String {
        yamls.iter().map(|yaml| problems(&format!("{QUEUE}{yaml}"), &[]) + "\n").collect()
    }

    fn each_variable(variables: &[&str]) -> String {
        variables.iter().map(|variable| problems(QUEUE, &[variable]) + "\n").collect()
    }

    fn config(yaml: &str, env: &[&str]) -> Config {
        load(&format!("{QUEUE}{yaml}"), env).0.unwrap()
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        let yaml = "
aws:
  regoin: eu-west-1
  connect_timeout_ms: 3s
  max_attempts: 40
queues:
  - url: arn:aws:sqs:eu-west-1:123456789012:events
    default_type: shop v1
publish: {linger_ms: -1}
log:
  format: humna
  format: json
linger_ms: 5
flavour: sweet
taps: [a]
retry: {min_seconds: 400}
";
        insta::assert_snapshot!(problems(yaml, &["PROTOBRIDGE_RECEIVE_MAX_POLLERS=many", "PROTOBRIDGE_PUBLISH_LINGER=3"]), @r#"
        14 problems in protobridge.yaml:
          line 3: aws.regoin: unknown key; did you mean `region`?
          line 4: aws.connect_timeout_ms: expected an integer of at least 1, found "3s"
          line 5: aws.max_attempts: expected an integer from 1 to 20, found 40
          line 7: queues[0].url: is an ARN; the queue's URL is `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
          line 8: queues[0].default_type: is not a full name such as `shop.v1.OrderPlaced`
          line 9: publish.linger_ms: expected an integer from 0 to 60000, found -1
          line 11: log.format: expected `auto`, `human` or `json`, found "humna"; did you mean `human`?
          line 12: log.format: given twice; first on line 11
          line 13: linger_ms: unknown key; did you mean `publish.linger_ms`?
          line 14: flavour: unknown key; known here: aws, queues, receive, visibility, envelope, confluent, descriptors, taps, profiles, route, publish, dedupe, retry, shutdown, admin, log, metrics, traces
          line 15: taps: expected a mapping of keys to values, found a list
          line 16: retry: min_seconds (400) is more than max_seconds (300)
          PROTOBRIDGE_PUBLISH_LINGER: unknown variable; did you mean `PROTOBRIDGE_PUBLISH_LINGER_MS`?
          PROTOBRIDGE_RECEIVE_MAX_POLLERS: receive.max_pollers: expected an integer from 1 to 256, found "many"
        "#);
    }

    #[test]
    fn unknown_keys_get_the_key_that_was_meant_or_those_there_are() {
        insta::assert_snapshot!(each_of(&[
            "publish:\n  lingr_ms: 5",
            "linger_ms: 5",
            "queue: []",
            "log: {colour: red}",
        ]), @"
        protobridge.yaml:3:3: publish.lingr_ms: unknown key; did you mean `linger_ms`?
        protobridge.yaml:2:1: linger_ms: unknown key; did you mean `publish.linger_ms`?
        protobridge.yaml:2:1: queue: unknown key; did you mean `queues`?
        protobridge.yaml:2:7: log.colour: unknown key; known here: format, level
        ");
    }

    #[test]
    fn wrong_values_are_told_what_is_expected() {
        insta::assert_snapshot!(each_of(&[
            "publish: {linger_ms: soon}",
            "publish: {linger_ms: 1.5}",
            "publish: {linger_ms: '10'}",
            "receive: {wait_seconds: 21}",
            "receive: {max_in_flight_bytes: 1024}",
            "metrics: {customer_label: 1}",
            "log: {format: JSON}",
            "log: {level: [info]}",
            "taps: {customer: tenant_id}",
            "taps: {customer: [tenant_id, {a: b}]}",
            "aws: eu-west-1",
            "admin: {listen: 8080}",
            "profiles: {web: {int64: text}}",
            "log: {}\nlog: {}",
        ]), @r#"
        protobridge.yaml:2:22: publish.linger_ms: expected an integer from 0 to 60000, found "soon"
        protobridge.yaml:2:22: publish.linger_ms: expected an integer from 0 to 60000, found 1.5
        protobridge.yaml:2:22: publish.linger_ms: expected an integer from 0 to 60000, found "10"
        protobridge.yaml:2:25: receive.wait_seconds: expected an integer from 0 to 20, found 21
        protobridge.yaml:2:32: receive.max_in_flight_bytes: expected an integer of at least 1048576, found 1024
        protobridge.yaml:2:27: metrics.customer_label: expected true or false, found 1
        protobridge.yaml:2:15: log.format: expected `auto`, `human` or `json`, found "JSON"; did you mean `json`?
        protobridge.yaml:2:14: log.level: expected text, found a list
        protobridge.yaml:2:18: taps.customer: expected a list, found "tenant_id"
        protobridge.yaml:2:30: taps.customer[1]: expected text, found a mapping
        protobridge.yaml:2:6: aws: expected a mapping of keys to values, found "eu-west-1"
        protobridge.yaml:2:17: admin.listen: expected an address with a port, such as 0.0.0.0:8080, found 8080
        protobridge.yaml:2:25: profiles.web.int64: expected `string` or `number`, found "text"
        protobridge.yaml:3:1: log: given twice; first on line 2
        "#);
    }

    #[test]
    fn yaml_that_cannot_be_parsed_is_reported_with_its_position() {
        insta::assert_snapshot!(problems("publish:\n  linger_ms: 5\n max_attempts: 4", &[]), @"protobridge.yaml:3:2: while parsing a block mapping, did not find expected key");
        insta::assert_snapshot!(problems("- a\n- b", &[]), @"protobridge.yaml:1:1: expected a mapping of keys to values, found a list");
        insta::assert_snapshot!(problems("a: 1\n---\nb: 2", &[]), @"protobridge.yaml:3:1: only single YAML document expected but multiple found");
    }

    #[test]
    fn a_missing_file_names_the_way_out() {
        let error = file(Path::new("nowhere/protobridge.yaml"), []).unwrap_err();
        insta::assert_snapshot!(error, @"nowhere/protobridge.yaml: no such file; an annotated example: `protobridge config example`");
    }

    #[test]
    fn an_empty_file_is_all_defaults_and_lacks_a_queue() {
        insta::assert_snapshot!(problems("", &[]), @"protobridge.yaml: queues: at least one queue to receive from is needed, such as `queues: [{url: https://sqs.eu-west-1.amazonaws.com/123456789012/events}]`");
        assert_eq!(problems("# nothing but a comment\n", &[]), problems("", &[]));
        assert_eq!(problems("aws:\nqueues:\n", &[]).lines().count(), 1, "keys without values are unset");
        let url = "PROTOBRIDGE_QUEUES_0_URL=https://sqs.eu-west-1.amazonaws.com/123456789012/events";
        assert_eq!(load("", &[url]).0.unwrap().publish, Config::default().publish);
    }

    #[test]
    fn texts_keep_the_spelling_of_the_file() {
        let loaded = config("log: {level: off}\nenvelope: {event_id_attribute: 007}", &[]);
        assert_eq!((loaded.log.level.as_str(), loaded.envelope.event_id_attribute.as_str()), ("off", "007"));
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        let (loaded, folder) = load(&format!("{QUEUE}descriptors: {{path: ../sets}}"), &[]);
        let loaded = loaded.unwrap();
        assert_eq!(loaded.descriptors.path, folder.path().join("../sets"));
        assert_eq!(loaded.route.customers_file, folder.path().join("customers.yaml"));
        assert_eq!(config("descriptors: {path: /etc/sets}", &[]).descriptors.path, Path::new("/etc/sets"));
    }

    #[test]
    fn variables_win_over_the_file() {
        let yaml = "publish: {linger_ms: 5}\ntaps: {customer: [a]}\naws: {region: us-east-1}\nprofiles: {For-Web: {}}";
        let loaded = config(
            yaml,
            &[
                "PROTOBRIDGE_PUBLISH_LINGER_MS=20",
                "PROTOBRIDGE_TAPS_CUSTOMER=tenant_id, meta.tenant_id",
                "PROTOBRIDGE_ROUTE_BROADCAST=",
                "PROTOBRIDGE_AWS_REGION=",
                "PROTOBRIDGE_METRICS_CUSTOMER_LABEL=true",
                "PROTOBRIDGE_PROFILES_MOBILE_APP_INT64=number",
                "PROTOBRIDGE_PROFILES_FOR_WEB_FIELD_NAMES=proto",
                "PROTOBRIDGE_LOG_LEVEL=info,protobridge=debug",
                "UNRELATED=1",
            ],
        );
        assert_eq!(loaded.publish.linger_ms, 20);
        assert_eq!(loaded.taps.customer, ["tenant_id", "meta.tenant_id"]);
        assert_eq!(loaded.route.broadcast, Vec::<String>::new());
        assert_eq!(loaded.aws.region, None);
        assert!(loaded.metrics.customer_label);
        assert_eq!(loaded.profiles.keys().collect::<Vec<_>>(), ["For-Web", "mobile_app"]);
        assert_eq!(loaded.profiles["For-Web"].field_names, super::super::FieldNames::Proto);
        assert_eq!(loaded.log.level, "info,protobridge=debug");
    }

    #[test]
    fn variables_change_queues_and_append_them_in_order() {
        let url = |name: &str| format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}");
        let mut env: Vec<_> =
            (1..12).rev().map(|index| format!("PROTOBRIDGE_QUEUES_{index}_URL={}", url(&index.to_string()))).collect();
        env.push("PROTOBRIDGE_QUEUES_0_NAME=first".into());
        let loaded = config("", &env.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(loaded.queues[0].label(), "first");
        assert_eq!(loaded.queues.len(), 12);
        assert_eq!(loaded.queues[11].url, url("11"));
    }

    #[test]
    fn problems_of_a_variable_name_the_variable() {
        insta::assert_snapshot!(each_variable(&[
            "PROTOBRIDGE_PUBLISH_LINGER_MS=soon",
            "PROTOBRIDGE_PUBLISH_LINGER_MS=",
            "PROTOBRIDGE_LOG_FORMAT=jsn",
            "PROTOBRIDGE_QUEUES_0_URL=events",
            "PROTOBRIDGE_QUEUES_1_NAME=events",
            "PROTOBRIDGE_QUEUES_2_URL=http://localhost/a",
            "PROTOBRIDGE_ROUTE_TOPIC_TEMPLATE=json-events",
        ]), @r#"
        PROTOBRIDGE_PUBLISH_LINGER_MS: publish.linger_ms: expected an integer from 0 to 60000, found "soon"
        PROTOBRIDGE_PUBLISH_LINGER_MS: publish.linger_ms: expected an integer from 0 to 60000, found ""
        PROTOBRIDGE_LOG_FORMAT: log.format: expected `auto`, `human` or `json`, found "jsn"; did you mean `json`?
        PROTOBRIDGE_QUEUES_0_URL: queues[0].url: is not a queue's URL such as `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
        PROTOBRIDGE_QUEUES_1_NAME: queues[1].url: missing; a queue needs its URL, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
        PROTOBRIDGE_QUEUES_2_URL: queues[2]: the list ends before it; its next index is 1
        PROTOBRIDGE_ROUTE_TOPIC_TEMPLATE: route.topic_template: lacks `{customer}`, as in `arn:aws:sns:eu-west-1:123456789012:events-{customer}`
        "#);
    }

    #[test]
    fn unknown_variables_get_the_name_that_was_meant() {
        insta::assert_snapshot!(each_variable(&[
            "PROTOBRIDGE_PUBLISH_LINGER=5",
            "PROTOBRIDGE_QUEUES_3_URI=5",
            "PROTOBRIDGE_PUBLISH=5",
            "PROTOBRIDGE_XYZZY=5",
            "PROTOBRIDGE_PORT=8080",
        ]), @"
        PROTOBRIDGE_PUBLISH_LINGER: unknown variable; did you mean `PROTOBRIDGE_PUBLISH_LINGER_MS`?
        PROTOBRIDGE_QUEUES_3_URI: unknown variable; did you mean `PROTOBRIDGE_QUEUES_3_URL`?
        PROTOBRIDGE_PUBLISH: unknown variable; did you mean `PROTOBRIDGE_PUBLISH_LINGER_MS`?
        PROTOBRIDGE_XYZZY: unknown variable; a key's variable is its path in upper case, such as `PROTOBRIDGE_AWS_REGION`
        PROTOBRIDGE_PORT: unknown variable; a key's variable is its path in upper case, such as `PROTOBRIDGE_AWS_REGION`
        ");
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Shelf {
        books: Vec<Book>,
        #[serde(default)]
        lent: BTreeMap<String, u32>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Book {
        id: String,
        #[serde(default)]
        pages: u32,
    }

    fn shelf(text: &str) -> Result<Shelf, String> {
        document_with(Path::new("shelf.yaml"), text, |shelf: &Shelf| {
            let too_long = |(index, book): (usize, &Book)| {
                (book.pages > 1000).then(|| Problem::new(format!("books[{index}].pages"), "too long"))
            };
            shelf.books.iter().enumerate().filter_map(too_long).collect()
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn another_document_is_held_against_its_own_type_and_rules() {
        let good = shelf("books: [{id: 0042}, {id: b, pages: 7}]\nlent: {ada: 1}").unwrap();
        assert_eq!(good.books[0].id, "0042");
        assert_eq!(good.lent["ada"], 1);
        insta::assert_snapshot!(shelf("").unwrap_err(), @"shelf.yaml: books: missing");
        let odd = "books:\n- pages: 1\n- id: b\n  pages: 1001\n- idd: c\n- id: [d]\n- \n";
        insta::assert_snapshot!(shelf(odd).unwrap_err(), @"
        4 problems in shelf.yaml:
          line 2: books[0].id: missing
          line 5: books[2].idd: unknown key; did you mean `id`?
          line 6: books[3].id: expected text, found a list
          line 7: books[4]: expected a mapping of keys to values, found nothing
        ");
        insta::assert_snapshot!(shelf("books:\n- id: b\n  pages: 1001\nlent: {ada: 5000000000}").unwrap_err(), @"
        2 problems in shelf.yaml:
          line 3: books[0].pages: too long
          line 4: lent.ada: expected an integer from 0 to 4294967295, found 5000000000
        ");
    }
}
