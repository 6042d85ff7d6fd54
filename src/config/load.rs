//! Reads the configuration from its file and its environment variables. [`strict_config`] checks both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strict_config::{Error, Problem, Variables};

use super::{Admin, Config};

/// The prefix of all variables of the configuration.
const PREFIX: &str = "PROTOBRIDGE_";

/// The place that a configuration comes from: a file, and the variables that override its keys.
#[derive(Debug, Clone)]
pub struct Origin {
    path: PathBuf,
    variables: Variables,
}

impl Origin {
    /// Creates the origin of the file at `path` and of those variables that are `PROTOBRIDGE_…`.
    ///
    /// [`Variables`] says how the variables are named. Relative paths in the file and in variables start at the folder
    /// of the file.
    pub fn new(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { path: path.to_owned(), variables: self::variables(path, variables) }
    }

    /// Returns the path of the configuration file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the files that the configuration is read from: its own, and those that `PROTOBRIDGE_…_FILE` variables
    /// name.
    pub fn files(&self) -> Vec<PathBuf> {
        [self.path.clone()].into_iter().chain(self.variables.files::<Config>()).collect()
    }

    /// Returns the configuration of the file, with the values of the variables in place of those of the file.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, if the file is not YAML, or if anything in it or in the variables is
    /// wrong.
    pub fn load(&self) -> Result<Config, Error> {
        let path = &self.path;
        let hint = "; an annotated example: `protobridge config example`";
        let text = std::fs::read_to_string(path).map_err(|cause| Error::unreadable(path, cause, hint))?;
        let mut config = strict_config::document_with_variables(path, &text, &self.variables, Config::problems)?;
        let folder = folder(path);
        config.descriptors.path = config.descriptors.path.starting_at(folder);
        config.descriptors.baseline = config.descriptors.baseline.take().map(|path| folder.join(path));
        config.route.customers_file = config.route.customers_file.starting_at(folder);
        for file in [&mut config.confluent.schemas_file, &mut config.glue.schemas_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
        Ok(config)
    }
}

/// Returns the configuration of an [`Origin`].
///
/// # Errors
///
/// Returns an error in the cases of [`Origin::load`].
pub fn file(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Config, Error> {
    Origin::new(path, variables).load()
}

/// Returns `admin.listen` from the variables, from the file at `path`, or its default.
///
/// Nothing else in the file is checked, because a health check must reach a running service even if the file was edited
/// since the service started.
///
/// # Errors
///
/// Returns an error if the file cannot be read or is not YAML, or if the value is not an address.
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
    let variables = self::variables(path.unwrap_or(Path::new("")), variables);
    if let Some(value) = variables.get(VARIABLE) {
        let value = value.map_err(|message| wrong(Path::new(VARIABLE), message))?;
        return value.parse().map_err(|error| wrong(Path::new(VARIABLE), format!("{value:?}: {error}")));
    }
    let Some(path) = path else { return Ok(Admin::default().listen) };
    let text = std::fs::read_to_string(path).map_err(|cause| Error::unreadable(path, cause, ""))?;
    let file: Option<File> = serde_saphyr::from_str(&text).map_err(|error| wrong(path, error.to_string()))?;
    Ok(file.unwrap_or_default().admin.listen.unwrap_or(Admin::default().listen))
}

/// Returns the `PROTOBRIDGE_…` variables of this process, for [`file()`].
///
/// Bytes that are not UTF-8 are replaced, so that such a variable is refused instead of ignored.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(move |(name, value)| (lossy(name), lossy(value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
}

/// Returns the variables of the configuration at `path`. `PROTOBRIDGE_CONFIG` belongs to the command line (`--config`),
/// and `PROTOBRIDGE_TEST_…` to the test suite.
fn variables(path: &Path, values: impl IntoIterator<Item = (String, String)>) -> Variables {
    Variables::new(PREFIX, values)
        .read_files_in(folder(path))
        .ignore("PROTOBRIDGE_CONFIG")
        .ignore_prefix("PROTOBRIDGE_TEST_")
        .ignore_kubernetes_services()
}

/// Returns the folder of the file at `path`, at which relative paths start.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use strict_config::{Variable, document_with_variables};

    use super::*;

    const QUEUE: &str = "queues: [{url: http://localhost:4566/000000000000/events}]\n";

    /// Loads `yaml` from a file called `protobridge.yaml`, with variables that are spelled `NAME=value`. Error texts do
    /// not contain the path of the folder.
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

    fn no_variables() -> Variables {
        variables(Path::new(""), [])
    }

    fn each_variable(variables: &[&str]) -> String {
        variables.iter().map(|variable| problems(QUEUE, &[variable]) + "\n").collect()
    }

    fn config(yaml: &str, env: &[&str]) -> Config {
        load(&format!("{QUEUE}{yaml}"), env).0.unwrap()
    }

    #[test]
    fn all_problems_are_reported_at_once() {
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
flavor: sweet
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
          line 14: flavor: unknown key; known here: aws, queues, receive, visibility, envelope, confluent, glue, descriptors, taps, profiles, route, publish, claim_check, dedupe, retry, heartbeats, silence, shutdown, canary, store, journal, archive, prices, admin, log, metrics, traces
          line 15: taps: expected a mapping of keys to values, found a list
          line 16: retry: min_seconds (400) is more than max_seconds (300)
          PROTOBRIDGE_PUBLISH_LINGER: unknown variable; did you mean `PROTOBRIDGE_PUBLISH_LINGER_MS`?
          PROTOBRIDGE_RECEIVE_MAX_POLLERS: receive.max_pollers: expected an integer from 1 to 256, found "many"
        "#);
    }

    #[test]
    fn the_error_for_a_missing_file_names_the_example_command() {
        let error = file(Path::new("nowhere/protobridge.yaml"), []).unwrap_err();
        insta::assert_snapshot!(error, @"nowhere/protobridge.yaml: no such file; an annotated example: `protobridge config example`");
    }

    #[test]
    fn an_empty_file_has_all_defaults_but_lacks_a_queue() {
        insta::assert_snapshot!(problems("", &[]), @"protobridge.yaml: queues: at least one queue to receive from is needed, such as `queues: [{url: https://sqs.eu-west-1.amazonaws.com/123456789012/events}]`");
        assert_eq!(problems("# nothing but a comment\n", &[]), problems("", &[]));
        assert_eq!(problems("aws:\nqueues:\n", &[]).lines().count(), 1, "a key without a value has its default");
        let url = "PROTOBRIDGE_QUEUES_0_URL=https://sqs.eu-west-1.amazonaws.com/123456789012/events";
        assert_eq!(load("", &[url]).0.unwrap().publish, Config::default().publish);
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        let (loaded, folder) = load(&format!("{QUEUE}descriptors: {{path: ../sets}}"), &[]);
        let loaded = loaded.unwrap();
        assert_eq!(loaded.descriptors.path, folder.path().join("../sets").into());
        assert_eq!(loaded.route.customers_file, folder.path().join("customers.yaml").into());
        assert_eq!(config("descriptors: {path: /etc/sets}", &[]).descriptors.path, "/etc/sets".into());
    }

    #[test]
    fn variables_override_the_file() {
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
    fn variables_change_queues_and_append_queues_in_order() {
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
    fn a_problem_of_a_variable_names_the_variable() {
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
        PROTOBRIDGE_QUEUES_2_URL: queues[2]: the next index of the list is 1
        PROTOBRIDGE_ROUTE_TOPIC_TEMPLATE: route.topic_template: lacks `{customer}`, as in `arn:aws:sns:eu-west-1:123456789012:events-{customer}`
        "#);
    }

    #[test]
    fn an_unknown_variable_gets_a_suggestion() {
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

    #[test]
    fn a_placeholder_in_the_file_is_refused() {
        let yaml = "
queues:
  - url: ${QUEUE_URL}
dedupe:
  redis_url: redis://:${REDIS_PASSWORD}@cache:6379
publish:
  linger_ms: ${LINGER:-10}
taps:
  customer: ['${TAP}']
";
        insta::assert_snapshot!(problems(yaml, &[]), @"
        4 problems in protobridge.yaml:
          line 3: queues[0].url: `${QUEUE_URL}` is not replaced by a variable; set the variable `PROTOBRIDGE_QUEUES_0_URL`, which overrides this key, or set `PROTOBRIDGE_QUEUES_0_URL_FILE` to the path of a file with the value
          line 5: dedupe.redis_url: `${REDIS_PASSWORD}` is not replaced by a variable; set the variable `PROTOBRIDGE_DEDUPE_REDIS_URL`, which overrides this key, or set `PROTOBRIDGE_DEDUPE_REDIS_URL_FILE` to the path of a file with the value
          line 7: publish.linger_ms: `${LINGER}` is not replaced by a variable; set the variable `PROTOBRIDGE_PUBLISH_LINGER_MS`, which overrides this key, or set `PROTOBRIDGE_PUBLISH_LINGER_MS_FILE` to the path of a file with the value
          line 9: taps.customer[0]: `${TAP}` is not replaced by a variable; set the variable `PROTOBRIDGE_TAPS_CUSTOMER`, which overrides this key, or set `PROTOBRIDGE_TAPS_CUSTOMER_FILE` to the path of a file with the value
        ");
        let literal = config("", &["PROTOBRIDGE_DEDUPE_REDIS_PREFIX=${x}"]);
        assert_eq!(literal.dedupe.redis_prefix, "${x}", "the value of a variable is taken as it is");
    }

    #[test]
    fn a_secret_can_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("redis");
        std::fs::write(&secret, "rediss://:secret@cache:6379\n").unwrap();
        let variable = format!("PROTOBRIDGE_DEDUPE_REDIS_URL_FILE={}", secret.display());
        assert_eq!(config("", &[&variable]).dedupe.redis_url.as_deref(), Some("rediss://:secret@cache:6379"));
        std::fs::remove_file(&secret).unwrap();
        let error = problems(QUEUE, &[&variable]).replace(&folder.path().display().to_string(), "FOLDER");
        insta::assert_snapshot!(error, @"PROTOBRIDGE_DEDUPE_REDIS_URL_FILE: dedupe.redis_url: cannot read FOLDER/redis: No such file or directory (os error 2)");
        let path = config("", &["PROTOBRIDGE_ROUTE_CUSTOMERS_FILE=/etc/customers.yaml"]).route.customers_file;
        assert_eq!(path, "/etc/customers.yaml".into(), "the key `route.customers_file` keeps its own variable");
    }

    #[test]
    fn the_health_check_reads_its_address_from_a_file_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("listen"), "127.0.0.1:9\n").unwrap();
        let path = folder.path().join("protobridge.yaml");
        let variable = |value: &str| [("PROTOBRIDGE_ADMIN_LISTEN_FILE".to_owned(), value.to_owned())];
        assert_eq!(listen(Some(&path), variable("listen")).unwrap().to_string(), "127.0.0.1:9");
        assert!(listen(Some(&path), variable("missing")).unwrap_err().to_string().contains("cannot read "));
    }

    #[test]
    fn no_two_keys_share_a_variable() {
        let known = no_variables().of::<Config>();
        assert!(known.iter().any(|known| known.name == "PROTOBRIDGE_PUBLISH_LINGER_MS"), "{known:#?}");
        // Each key also has a variable that names a file.
        let names = known.iter().flat_map(|known| [known.name.clone(), format!("{}_FILE", known.name)]);
        assert_eq!(names.collect::<BTreeSet<_>>().len(), 2 * known.len(), "{known:#?}");
    }

    #[test]
    fn each_variable_sets_its_own_key() {
        for Variable { name, key } in no_variables().of::<Config>() {
            let variables = variables(Path::new(""), [(name.clone(), "7".to_owned())]);
            let loaded: Result<Config, _> = document_with_variables("a.yaml".as_ref(), "", &variables, |_| Vec::new());
            match loaded {
                Ok(config) => {
                    let pointer = format!("/{}", key.replace(['.', '['], "/").replace(']', ""));
                    let config = serde_json::to_value(config).unwrap();
                    let value = config.pointer(&pointer).unwrap_or_else(|| panic!("{name} does not set {key}"));
                    assert!(*value == 7 || *value == 7.0 || *value == "7" || *value == json!(["7"]), "{key}: {value}");
                }
                Err(error) => assert_eq!(error.problems()[0].key, key, "{name}: {error}"),
            }
        }
    }

    #[test]
    fn no_variable_of_kubernetes_sets_a_key() {
        for Variable { name, .. } in no_variables().of::<Config>() {
            assert!(!no_variables().ignores(&name, ""), "{name}");
        }
    }

    #[test]
    fn variables_of_kubernetes_the_test_suite_and_the_command_line_are_ignored() {
        config(
            "",
            &["PROTOBRIDGE_PORT=tcp://10.0.0.1:8080", "PROTOBRIDGE_TEST_MINISTACK=1", "PROTOBRIDGE_CONFIG=a.yaml"],
        );
    }
}
