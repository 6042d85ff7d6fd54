//! What the command says to wrong input: one error that names the thing and the way out, and the exit code.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use protobridge::cli::embedded::samples::SETS;
use tempfile::TempDir;

use crate::command::{self, bare, protobridge};
use crate::emulator::{Emulator, scenarios};

scenarios! {
    both: [
        a_queue_that_does_not_exist_is_named,
        check_online_says_of_each_queue_and_topic_whether_it_is_there,
    ];
    embedded: [];
    ministack: [];
}

/// A folder with a configuration that works, as far as it can without a queue.
struct Folder(TempDir);

/// Nobody listens at the endpoint.
const CONFIG: &str = "\
aws: {region: eu-west-1, endpoint_url: 'http://127.0.0.1:1', max_attempts: 1}
queues: [{url: 'http://127.0.0.1:1/000000000000/events'}]
admin: {listen: '127.0.0.1:0'}
";

const CUSTOMERS: &str = "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:000000000000:acme'}]\n";

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().expect("there is a place for temporary files"));
        folder.write("protobridge.yaml", CONFIG).write("customers.yaml", CUSTOMERS);
        fs::create_dir(folder.path().join("descriptors")).expect("it can be made");
        for (name, set) in SETS {
            folder.write(&format!("descriptors/{name}"), set);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(name), content).expect("it can be written");
        self
    }

    /// Adds lines to the configuration.
    fn configure(&self, lines: &str) -> &Self {
        self.write("protobridge.yaml", format!("{CONFIG}{lines}\n"))
    }

    /// Runs a command in this folder to its end, and says how it ended.
    fn ends(&self, command: &mut Command, arguments: &[&str]) -> String {
        let ended = command::run(command.current_dir(self.path()).args(arguments), b"");
        let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        format!("{}{}exit code {code}", ended.stdout, ended.stderr)
    }

    /// How `protobridge run` ends here.
    fn run(&self) -> String {
        self.ends(&mut protobridge(), &["run", "--config", "protobridge.yaml"])
    }

    /// How `protobridge check` ends here.
    fn check(&self) -> String {
        self.ends(&mut protobridge(), &["check", "--config", "protobridge.yaml"])
    }
}

#[test]
fn a_missing_configuration_file_is_bad_configuration() {
    let folder = Folder::new();
    assert_snapshot!(folder.ends(&mut protobridge(), &["run", "--config", "protobrigde.yaml"]), @"
    error: protobrigde.yaml: no such file; an annotated example: `protobridge config example`
    exit code 64
    ");
}

#[test]
fn a_typo_in_the_configuration_is_found_with_its_place() {
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
fn a_log_level_that_does_not_exist_is_bad_configuration() {
    assert_snapshot!(Folder::new().configure("log: {level: protobridge=loud}").run(), @r#"
    error: log.level `protobridge=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    exit code 64
    "#);
}

#[test]
fn a_missing_descriptor_folder_is_named() {
    assert_snapshot!(Folder::new().configure("descriptors: {path: descriptor}").run(), @"
    error: descriptors.path: cannot read descriptors at descriptor: No such file or directory (os error 2); it has to be a folder of compiled sets, or one of them
    exit code 64
    ");
}

#[test]
fn a_folder_without_descriptor_sets_is_named() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("empty")).expect("it can be made");
    assert_snapshot!(folder.configure("descriptors: {path: empty}").run(), @"
    error: descriptors.path: no descriptor set in empty: it holds no file that ends in .desc, .binpb or .pb; compile one with `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`
    exit code 64
    ");
}

#[test]
fn an_unreadable_descriptor_set_is_named() {
    assert_snapshot!(Folder::new().write("descriptors/orders.binpb", "syntax = \"proto3\";").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    refused        descriptor set orders.binpb: not a compiled FileDescriptorSet (failed to decode Protobuf message: invalid wire type value: 7); write it with `protoc --include_imports --descriptor_set_out` or `buf build`; its types are not known
    error: 1 of the descriptor sets cannot be used
    exit code 1
    ");
}

#[test]
fn a_descriptor_set_without_its_imports_is_named() {
    // FileDescriptorSet {file: {name: "a.proto", dependency: "b.proto"}}
    let set = b"\x0a\x12\x0a\x07a.proto\x1a\x07b.proto";
    assert_snapshot!(Folder::new().write("descriptors/a.binpb", set).check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    refused        descriptor set a.binpb: import b.proto is missing; compile with `--include_imports`; its types are not known
    error: 1 of the descriptor sets cannot be used
    exit code 1
    ");
}

#[test]
fn a_missing_customers_file_is_named() {
    assert_snapshot!(Folder::new().configure("route: {customers_file: clients.yaml}").run(), @"
    error: cannot read customers file clients.yaml: No such file or directory (os error 2); set `route.customers_file` to it
    exit code 64
    ");
}

#[test]
fn customers_that_cannot_be_meant_are_all_named() {
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

#[test]
fn without_credentials_the_error_says_how_to_give_them() {
    let folder = Folder::new();
    assert_snapshot!(folder.ends(&mut bare(), &["run", "--config", "protobridge.yaml"]), @"
    error: queue events (http://127.0.0.1:1/000000000000/events): no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod or instance a role
    exit code 1
    ");
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_a_failure() {
    insta::with_settings!({filters => FILTERS}, {
        assert_snapshot!(Folder::new().run(), @"
        error: queue events (http://127.0.0.1:1/000000000000/events): dispatch failure: io error: client error (Connect): tcp connect error: Connection refused (os error [number]); check the network, `aws.region` and `aws.endpoint_url`
        exit code 1
        ");
    });
}

#[test]
fn an_admin_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
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
fn a_variable_wins_over_the_file_and_is_named_in_errors() {
    let mut command = protobridge();
    command.env("PROTOBRIDGE_PUBLISH_LINGER_MS", "soon");
    assert_snapshot!(Folder::new().ends(&mut command, &["run", "--config", "protobridge.yaml"]), @r#"
    error: PROTOBRIDGE_PUBLISH_LINGER_MS: publish.linger_ms: expected an integer from 0 to 60000, found "soon"
    exit code 64
    "#);
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    let folder = Folder::new();
    assert_snapshot!(folder.ends(&mut protobridge(), &["run"]), @"
    error: the following required arguments were not provided:
      --config <FILE>

    Usage: protobridge run --config <FILE>

    For more information, try '--help'.
    exit code 2
    ");
    assert_snapshot!(folder.ends(&mut protobridge(), &["rum"]), @"
    error: unrecognized subcommand 'rum'

      tip: a similar subcommand exists: 'run'

    Usage: protobridge <COMMAND>

    For more information, try '--help'.
    exit code 2
    ");
}

#[test]
fn check_says_what_is_loaded() {
    assert_snapshot!(Folder::new().check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    ok
    exit code 0
    ");
}

#[test]
fn check_warns_of_what_looks_like_a_mistake_and_is_good_with_it() {
    let folder = Folder::new();
    folder.configure("taps: {customer: [meta.tenant]}\nroute: {broadcast: [shop.v2.*]}");
    folder.write("customers.yaml", CUSTOMERS.replace("id: acme", "id: acme, events: [shop.v1.Ordr*]"));
    assert_snapshot!(folder.check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        customer acme: events `shop.v1.Ordr*` fits no known message type
    warning        route.broadcast `shop.v2.*` fits no known message type
    warning        taps: no message type has the field path meta.tenant
    ok
    exit code 0
    ");
}

#[test]
fn check_fails_where_run_would() {
    assert_snapshot!(Folder::new().configure("descriptors: {path: descriptor}").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    error: descriptors.path: cannot read descriptors at descriptor: No such file or directory (os error 2); it has to be a folder of compiled sets, or one of them
    exit code 64
    ");
}

#[test]
fn the_schema_of_the_configuration_is_json() {
    let ended = command::run(protobridge().args(["config", "schema"]), b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    assert_eq!(schema["properties"]["publish"]["$ref"], "#/$defs/Publish");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_example_of_the_configuration_is_one() {
    let ended = command::run(protobridge().args(["config", "example"]), b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let end = Folder::new().write("protobridge.yaml", ended.stdout).check();
    assert!(end.ends_with("\nok\nexit code 0"), "{end}");
}

/// What differs from run to run, from system to system, and from emulator to emulator.
const FILTERS: [(&str, &str); 3] = [
    (r"(NonExistentQueue|QueueDoesNotExist|NotFound): .*?(; |\n)", "[code and message]$2"),
    (r"127\.0\.0\.1:\d{2,}", "[address]"),
    (r"os error \d+", "os error [number]"),
];

async fn a_queue_that_does_not_exist_is_named(emulator: &Emulator) {
    let config = CONFIG.replace("http://127.0.0.1:1", &emulator.endpoint_url);
    let end = Folder::new().write("protobridge.yaml", config).run();
    insta::with_settings!({filters => FILTERS}, {
        insta::allow_duplicates! {
            assert_snapshot!(end, @"
            error: queue events (http://[address]/000000000000/events): AWS.SimpleQueueService.[code and message]; create the queue, or correct `queues[].url`
            exit code 1
            ");
        }
    });
}

async fn check_online_says_of_each_queue_and_topic_whether_it_is_there(emulator: &Emulator) {
    let topic = emulator.sns.create_topic().name("acme").send().await.expect("the topic is created");
    let (topic, queue) =
        (topic.topic_arn.expect("a topic has an ARN"), emulator.sqs.create_queue().queue_name("there"));
    let queue = queue.send().await.expect("the queue is created").queue_url.expect("a queue has a URL");
    let config = CONFIG.replace("http://127.0.0.1:1", &emulator.endpoint_url);
    let folder = Folder::new();
    folder.write("protobridge.yaml", config.replace("'}]", &format!("'}}, {{url: '{queue}'}}]")));
    folder.write("customers.yaml", format!("customers: [{{id: a, topic: '{topic}'}}, {{id: b, topic: '{topic}-b'}}]"));
    let end = folder.ends(&mut protobridge(), &["check", "--online", "--config", "protobridge.yaml"]);
    insta::with_settings!({filters => FILTERS}, {
        insta::allow_duplicates! {
            assert_snapshot!(end, @"
            configuration  protobridge.yaml: 2 queue(s)
            descriptors    descriptors: 2 set(s), 27 message type(s)
            customers      customers.yaml: 2, 2 enabled
            online         queue http://[address]/000000000000/events: AWS.SimpleQueueService.[code and message]; create the queue, or correct `queues[].url`
            online         queue http://[address]/000000000000/there: ok
            online         topic arn:aws:sns:eu-west-1:000000000000:acme: ok
            online         topic arn:aws:sns:eu-west-1:000000000000:acme-b: [code and message]
            error: 2 of the resources that the configuration names cannot be used
            exit code 1
            ");
        }
    });
}
