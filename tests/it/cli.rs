//! The command's answers to wrong input: one error that names the cause and the fix, and the exit code.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use protobridge::cli::embedded::samples::SETS;
use tempfile::TempDir;

use crate::command::{self, bare, protobridge};

/// A folder with a valid configuration whose queue cannot be reached.
pub(crate) struct Folder(TempDir);

/// A configuration whose endpoint refuses connections.
pub(crate) const CONFIG: &str = "\
aws: {region: eu-west-1, endpoint_url: 'http://127.0.0.1:1', max_attempts: 1}
queues: [{url: 'http://127.0.0.1:1/000000000000/events', quarantine_url: 'http://127.0.0.1:1/000000000000/bad'}]
admin: {listen: '127.0.0.1:0'}
";

/// A customers file with one customer.
pub(crate) const CUSTOMERS: &str = "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:000000000000:acme'}]\n";

impl Folder {
    /// Creates the folder with a configuration, customers and descriptor sets.
    pub(crate) fn new() -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder can be created"));
        folder.write("protobridge.yaml", CONFIG).write("customers.yaml", CUSTOMERS);
        fs::create_dir(folder.path().join("descriptors")).expect("the folder can be created");
        for (name, set) in SETS {
            folder.write(&format!("descriptors/{name}"), set);
        }
        folder
    }

    /// Creates a folder without files.
    fn empty() -> Self {
        Self(TempDir::new().expect("a temporary folder can be created"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(name), content).expect("the file can be written");
        self
    }

    /// Writes the configuration with these additional lines.
    pub(crate) fn configure(&self, lines: &str) -> &Self {
        self.write("protobridge.yaml", format!("{CONFIG}{lines}\n"))
    }

    /// Runs a command in this folder. Returns its output, without the first log line, and its exit code as text.
    pub(crate) fn output_of(&self, command: &mut Command, arguments: &[&str]) -> String {
        let ended = command::run(command.current_dir(self.path()).args(arguments), b"");
        let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let lines = ended.stderr.split_inclusive('\n').filter(|line| !line.contains("\"message\":\"starting\""));
        format!("{}{}exit code {code}", ended.stdout, lines.collect::<String>())
    }

    /// Runs `protobridge run` in this folder. Returns its output and its exit code as text.
    pub(crate) fn run(&self) -> String {
        self.output_of(&mut protobridge(), &["run", "--config", "protobridge.yaml"])
    }

    /// Runs `protobridge check` in this folder. Returns its output and its exit code as text.
    pub(crate) fn check(&self) -> String {
        self.output_of(&mut protobridge(), &["check", "--config", "protobridge.yaml"])
    }
}

#[test]
fn a_missing_configuration_file_exits_with_64() {
    let folder = Folder::new();
    assert_snapshot!(folder.output_of(&mut protobridge(), &["run", "--config", "protobrigde.yaml"]), @"
    error: protobrigde.yaml: no such file; an annotated example: `protobridge config example`
    exit code 64
    ");
}

#[test]
fn the_error_locates_a_typo_in_the_configuration() {
    let folder = Folder::new();
    assert_snapshot!(folder.configure("publsh: {linger_ms: 5}").run(), @"
    error: protobridge.yaml:4:1: publsh: unknown key; did you mean `publish`?
    exit code 64
    ");
    assert_snapshot!(folder.configure("publish: {linger: 5}\nretry: {min_seconds: soon}").run(), @r#"
    error: 2 problems in protobridge.yaml:
      line 4: publish.linger: unknown key; did you mean `linger_ms`?
      line 5: retry.min_seconds: expected an integer from 1 to 43200, found "soon"
    exit code 64
    "#);
}

#[test]
fn an_unknown_log_level_exits_with_64() {
    assert_snapshot!(Folder::new().configure("log: {level: protobridge=loud}").run(), @r#"
    error: protobridge.yaml:4:7: log.level: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    exit code 64
    "#);
}

#[test]
fn the_error_names_a_missing_descriptor_folder() {
    assert_snapshot!(Folder::new().configure("descriptors: {path: descriptor}").run(), @"
    error: descriptors.path: cannot read descriptors at descriptor: No such file or directory (os error 2); it must be a folder of compiled sets, or one compiled set
    exit code 64
    ");
}

#[test]
fn the_error_names_a_folder_without_descriptor_sets() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("empty")).expect("the folder can be created");
    assert_snapshot!(folder.configure("descriptors: {path: empty}").run(), @"
    error: descriptors.path: no descriptor set in empty: it has no file that ends in .desc, .binpb, .pb, .protoset, .fds or .bin, or in one of these and .gz; compile one with `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`
    exit code 64
    ");
}

#[test]
fn the_error_names_a_missing_customers_file() {
    assert_snapshot!(Folder::new().configure("route: {customers_file: clients.yaml}").run(), @"
    error: cannot read customers file clients.yaml: No such file or directory (os error 2); set `route.customers_file` to it
    exit code 64
    ");
}

#[test]
fn the_error_lists_every_mistake_in_the_customers_file() {
    let customers = "customers: [{id: a}, {id: b, topic: json-events}, {id: c, profle: web}]";
    assert_snapshot!(Folder::new().write("customers.yaml", customers).run(), @"
    error: 4 problems in customers.yaml:
      line 1: customers[0].topic: a has no topic; give it one, or set `route.topic_template`
      line 1: customers[1].topic: json-events is not the ARN of an SNS topic such as `arn:aws:sns:eu-west-1:123456789012:events`
      line 1: customers[2].topic: c has no topic; give it one, or set `route.topic_template`
      line 1: customers[2].profle: unknown key; did you mean `profile`?
    exit code 64
    ");
    let customers = "customers: [{id: a}, {id: b, topic: json-events}]";
    assert_snapshot!(Folder::new().write("customers.yaml", customers).run(), @"
    error: 2 problems in customers.yaml:
      line 1: customers[0].topic: a has no topic; give it one, or set `route.topic_template`
      line 1: customers[1].topic: json-events is not the ARN of an SNS topic such as `arn:aws:sns:eu-west-1:123456789012:events`
    exit code 64
    ");
}

/// The arguments of a service that stops unless it can receive from its queue.
const HEALTHY: &[&str] = &["run", "--config", "protobridge.yaml", "--require-healthy=1"];

#[test]
fn the_error_explains_how_to_provide_missing_credentials() {
    let folder = Folder::new();
    assert_snapshot!(folder.output_of(bare().env("PROTOBRIDGE_LOG_LEVEL", "off"), HEALTHY), @"
    error: not healthy within 1 s:
      queue events (http://127.0.0.1:1/000000000000/events): no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod or instance a role
    exit code 1
    ");
}

#[test]
fn a_refused_connection_to_the_endpoint_exits_with_1() {
    insta::with_settings!({filters => FILTERS}, {
        let end = Folder::new().output_of(protobridge().env("PROTOBRIDGE_LOG_LEVEL", "off"), HEALTHY);
        assert_snapshot!(end, @"
        error: not healthy within 1 s:
          queue events (http://127.0.0.1:1/000000000000/events): dispatch failure: io error: client error (Connect): tcp connect error: Connection refused (os error [number]); check the network, `aws.region` and `aws.endpoint_url`
        exit code 1
        ");
    });
}

#[test]
fn the_error_names_an_admin_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("the listener is bound").to_string();
    let folder = Folder::new();
    folder.write("protobridge.yaml", CONFIG.replace("127.0.0.1:0", &address));
    insta::with_settings!({filters => FILTERS}, {
        assert_snapshot!(folder.run(), @"
        error: cannot listen on [address]: Address already in use (os error [number]); set `admin.listen` to a free address and port
        exit code 1
        ");
    });
}

#[test]
fn a_variable_overrides_the_file_and_errors_name_it() {
    let mut command = protobridge();
    command.env("PROTOBRIDGE_PUBLISH_LINGER_MS", "soon");
    assert_snapshot!(Folder::new().output_of(&mut command, &["run", "--config", "protobridge.yaml"]), @r#"
    error: PROTOBRIDGE_PUBLISH_LINGER_MS: publish.linger_ms: expected an integer from 0 to 60000, found "soon"
    exit code 64
    "#);
}

#[test]
fn a_command_that_names_no_file_takes_protobridge_yaml_of_its_folder() {
    let folder = Folder::new();
    for command in
        [&["check"][..], &["iam-policy"], &["schema", "asyncapi"], &["transcode", "--type", "protobridge.v1.Heartbeat"]]
    {
        let named = folder.output_of(&mut protobridge(), &[command, &["--config", "protobridge.yaml"]].concat());
        assert_eq!(folder.output_of(&mut protobridge(), command), named);
        assert!(named.ends_with("exit code 0"), "{named}");
    }
    // The output has the current time.
    let explain = ["explain", "--type", "protobridge.v1.Heartbeat", "--base64", "CgFh"];
    let explained = folder.output_of(&mut protobridge(), &explain);
    assert!(explained.ends_with("exit code 0"), "{explained}");
    let broken = folder.configure("publsh: {linger_ms: 5}");
    assert_snapshot!(broken.output_of(&mut protobridge(), &["run"]), @"
    error: protobridge.yaml:4:1: publsh: unknown key; did you mean `publish`?
    exit code 64
    ");
    let mut other = protobridge();
    other.env("PROTOBRIDGE_CONFIG", "other.yaml");
    assert_snapshot!(broken.output_of(&mut other, &["check"]), @"
    error: other.yaml: no such file; an annotated example: `protobridge config example`
    exit code 64
    ");
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = Folder::empty();
    assert_snapshot!(folder.output_of(&mut protobridge(), &["run"]), @"
    error: there is no configuration file: this folder has no protobridge.yaml; name the file with --config FILE or PROTOBRIDGE_CONFIG, or write one: protobridge config example > protobridge.yaml; see --help
    exit code 2
    ");
    assert_snapshot!(folder.output_of(&mut protobridge(), &["rum"]), @"
    error: unrecognized subcommand 'rum'

      tip: a similar subcommand exists: 'run'

    Usage: protobridge <COMMAND>

    For more information, try '--help'.
    exit code 2
    ");
}

#[test]
fn config_schema_prints_json() {
    let ended = command::run(protobridge().args(["config", "schema"]), b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("the output is JSON");
    assert_eq!(schema["properties"]["publish"]["$ref"], "#/$defs/Publish");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn config_example_prints_a_valid_configuration() {
    let ended = command::run(protobridge().args(["config", "example"]), b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let end = Folder::new().write("protobridge.yaml", ended.stdout).check();
    assert!(end.ends_with("\nok\nexit code 0"), "{end}");
}

/// Replaces the parts of an output that differ between runs, operating systems or emulators.
pub(crate) const FILTERS: [(&str, &str); 3] = [
    (r"(NonExistentQueue|QueueDoesNotExist|NotFound): .*?(; |\n)", "[code and message]$2"),
    (r"127\.0\.0\.1:\d{2,}", "[address]"),
    (r"os error \d+", "os error [number]"),
];
