//! The command's answers to wrong input: one error that names the cause and the fix, and the exit code.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use aws_sdk_sqs::types::QueueAttributeName;
use insta::assert_snapshot;
use protobridge::cli::embedded::samples::SETS;
use tempfile::TempDir;

use crate::command::{self, bare, protobridge};
use crate::emulator::{Emulator, scenarios};

scenarios! {
    both: [
        the_error_names_a_missing_queue,
        check_online_reports_whether_each_queue_and_topic_exists,
    ];
    embedded: [];
    ministack: [];
}

/// A folder with a valid configuration whose queue cannot be reached.
struct Folder(TempDir);

/// A configuration whose endpoint refuses connections.
const CONFIG: &str = "\
aws: {region: eu-west-1, endpoint_url: 'http://127.0.0.1:1', max_attempts: 1}
queues: [{url: 'http://127.0.0.1:1/000000000000/events'}]
admin: {listen: '127.0.0.1:0'}
";

const CUSTOMERS: &str = "customers: [{id: acme, topic: 'arn:aws:sns:eu-west-1:000000000000:acme'}]\n";

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder can be created"));
        folder.write("protobridge.yaml", CONFIG).write("customers.yaml", CUSTOMERS);
        fs::create_dir(folder.path().join("descriptors")).expect("the folder can be created");
        for (name, set) in SETS {
            folder.write(&format!("descriptors/{name}"), set);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(name), content).expect("the file can be written");
        self
    }

    /// Writes the configuration with these additional lines.
    fn configure(&self, lines: &str) -> &Self {
        self.write("protobridge.yaml", format!("{CONFIG}{lines}\n"))
    }

    /// Runs a command in this folder. Returns its output, without the first log line, and its exit code as text.
    fn output_of(&self, command: &mut Command, arguments: &[&str]) -> String {
        let ended = command::run(command.current_dir(self.path()).args(arguments), b"");
        let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let lines = ended.stderr.split_inclusive('\n').filter(|line| !line.contains("\"message\":\"starting\""));
        format!("{}{}exit code {code}", ended.stdout, lines.collect::<String>())
    }

    /// Runs `protobridge run` in this folder. Returns its output and its exit code as text.
    fn run(&self) -> String {
        self.output_of(&mut protobridge(), &["run", "--config", "protobridge.yaml"])
    }

    /// Runs `protobridge check` in this folder. Returns its output and its exit code as text.
    fn check(&self) -> String {
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
    error: log.level `protobridge=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
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
fn check_names_an_unreadable_descriptor_set() {
    assert_snapshot!(Folder::new().write("descriptors/orders.binpb", "syntax = \"proto3\";").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    refused        descriptor set orders.binpb: not a compiled FileDescriptorSet (malformed protobuf at byte 12 in FileDescriptorSet: unknown wire type); write it with `protoc --include_imports --descriptor_set_out` or `buf build`; its types are unknown
    error: 1 of the descriptor sets cannot be used
    exit code 1
    ");
}

#[test]
fn check_warns_about_sources_in_the_descriptor_folder() {
    assert_snapshot!(Folder::new().write("descriptors/order.proto", "").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        descriptors.path: order.proto is a source, which protobridge does not read; compile a set with `protoc --include_imports --descriptor_set_out=FILE.binpb` or `buf build -o FILE.binpb`, and keep the sources out of descriptors
    ok
    exit code 0
    ");
}

#[test]
fn check_warns_about_a_glue_schema_version_that_lists_too_few_messages() {
    let id = "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63";
    let other = id.replace("b7", "00");
    let folder = Folder::new();
    folder.write(
        "glue.yaml",
        format!("schemas: [{{id: {id}, types: [shop.v1.OrderShipped]}}, {{id: {other}, types: [a.B]}}]"),
    );
    assert_snapshot!(folder.configure("glue: {schemas_file: glue.yaml}").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        glue.schemas_file: no type of schema version 00b4a7f0-9c96-4e4a-a687-fb5de9ef0c63 is in a descriptor set yet
    warning        glue.schemas_file: schema version b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63 does not list shop.v1.Delivery, shop.v1.OrderPlaced, shop.v1.OrderPlaced.LabelsEntry, shop.v1.OrderPlaced.LineItem, shop.v1.OrderPlaced.LineItem.Option, shop.v1.OrderShipped.BackOrderedEntry, shop.v1.OrderShipped.Parcel, shop.v1.OrderStatusChanged, shop.v1.Pickup, which the same .proto file has today; if that version has them, list them, because each message is numbered among all of them
    ok
    exit code 0
    ");
}

#[test]
fn check_names_a_descriptor_set_without_its_imports() {
    // FileDescriptorSet {file: {name: "a.proto", dependency: "b.proto"}}
    let set = b"\x0a\x12\x0a\x07a.proto\x1a\x07b.proto";
    assert_snapshot!(Folder::new().write("descriptors/a.binpb", set).check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    refused        descriptor set a.binpb: import b.proto is missing; compile with `--include_imports`; its types are unknown
    error: 1 of the descriptor sets cannot be used
    exit code 1
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

#[test]
fn check_refuses_a_topic_of_another_region_than_that_of_the_environment() {
    let folder = Folder::new();
    folder.write("protobridge.yaml", CONFIG.replace("region: eu-west-1, ", ""));
    let check =
        |region: &str| folder.output_of(bare().env("AWS_REGION", region), &["check", "--config", "protobridge.yaml"]);
    assert!(check("eu-west-1").ends_with("ok\nexit code 0"), "{}", check("eu-west-1"));
    assert_snapshot!(check("us-east-1"), @"
    configuration  protobridge.yaml: 1 queue(s)
    error: customers.yaml:1:24: customers[0].topic: arn:aws:sns:eu-west-1:000000000000:acme is in eu-west-1, but protobridge calls AWS in us-east-1 (`aws.region`); one process serves one region
    exit code 64
    ");
}

#[test]
fn the_error_explains_how_to_provide_missing_credentials() {
    let folder = Folder::new();
    assert_snapshot!(folder.output_of(&mut bare(), &["run", "--config", "protobridge.yaml"]), @"
    error: queue events (http://127.0.0.1:1/000000000000/events): no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the pod or instance a role
    exit code 1
    ");
}

#[test]
fn a_refused_connection_to_the_endpoint_exits_with_1() {
    insta::with_settings!({filters => FILTERS}, {
        assert_snapshot!(Folder::new().run(), @"
        error: queue events (http://127.0.0.1:1/000000000000/events): dispatch failure: io error: client error (Connect): tcp connect error: Connection refused (os error [number]); check the network, `aws.region` and `aws.endpoint_url`
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
fn wrong_usage_exits_with_2() {
    let folder = Folder::new();
    assert_snapshot!(folder.output_of(&mut protobridge(), &["run"]), @"
    error: the following required arguments were not provided:
      --config <FILE>

    Usage: protobridge run --config <FILE>

    For more information, try '--help'.
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
fn check_reports_what_is_loaded() {
    assert_snapshot!(Folder::new().check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    ok
    exit code 0
    ");
}

#[test]
fn check_warns_of_likely_mistakes_and_succeeds() {
    let folder = Folder::new();
    folder.configure(
        "taps: {customer: [meta.tenant]}\nroute: {broadcast: [shop.v2.*]}\ndedupe: {redis_url: 'redis://:pw@redis:6379'}",
    );
    folder.write("customers.yaml", CUSTOMERS.replace("id: acme", "id: acme, events: [shop.v1.Ordr*]"));
    assert_snapshot!(folder.check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 27 message type(s)
    customers      customers.yaml: 1, 1 enabled
    warning        dedupe.redis_url: the connection to redis has no TLS, so other hosts on the network can read the password and change what counts as a duplicate; use `rediss://`
    warning        customer acme: events `shop.v1.Ordr*` matches no known message type
    warning        route.broadcast `shop.v2.*` matches no known message type
    warning        taps: no message type has the field path meta.tenant
    ok
    exit code 0
    ");
}

#[test]
fn check_and_run_fail_if_a_path_hides_nothing() {
    let folder = Folder::new();
    folder.configure("profiles: {default: {redact: [meta.tenant], drop: [meta.sorce]}}");
    for output in [folder.check(), folder.run()] {
        for (key, path) in [("redact", "meta.tenant"), ("drop", "meta.sorce")] {
            let line =
                format!("profiles.default.{key}: no message type has the field path `{path}`, so it hides nothing");
            assert!(output.contains(&line), "{output}");
        }
        assert!(output.ends_with("exit code 64"), "{output}");
    }
    folder.configure("profiles: {default: {redact: ['shop.v1.OrderPlaced/meta.tenant']}}");
    let output = folder.check();
    assert!(output.contains("shop.v1.OrderPlaced.meta.tenant: the profile `default` hides"), "{output}");
    assert!(output.ends_with("error: 1 of the descriptor sets cannot be used\nexit code 1"), "{output}");
    folder.configure(
        "profiles: {default: {redact: ['shop v1/meta.tenant', 'meta..id']}}\ndescriptors: {may_become_visible: [x]}",
    );
    assert_snapshot!(folder.check(), @r#"
    error: 3 problems in protobridge.yaml:
      line 4: profiles.default.redact[0]: "shop v1" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
      line 4: profiles.default.redact[1]: "meta..id" is not a path of field names such as `meta.tenant_id`, or with types `shop.v1.Order/meta.tenant_id`
      line 5: descriptors.may_become_visible[0]: "x" is not a message type and a field path in it, such as `shop.v1.Order.card.number`
    exit code 64
    "#);
}

#[test]
fn check_fails_if_run_would_fail() {
    assert_snapshot!(Folder::new().configure("descriptors: {path: descriptor}").check(), @"
    configuration  protobridge.yaml: 1 queue(s)
    error: descriptors.path: cannot read descriptors at descriptor: No such file or directory (os error 2); it must be a folder of compiled sets, or one compiled set
    exit code 64
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
const FILTERS: [(&str, &str); 3] = [
    (r"(NonExistentQueue|QueueDoesNotExist|NotFound): .*?(; |\n)", "[code and message]$2"),
    (r"127\.0\.0\.1:\d{2,}", "[address]"),
    (r"os error \d+", "os error [number]"),
];

async fn the_error_names_a_missing_queue(emulator: &Emulator) {
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

async fn check_online_reports_whether_each_queue_and_topic_exists(emulator: &Emulator) {
    let topic = emulator.sns.create_topic().name("acme").send().await.expect("the topic is created");
    let (topic, queue) =
        (topic.topic_arn.expect("a topic has an ARN"), emulator.sqs.create_queue().queue_name("there"));
    let queue = queue.send().await.expect("the queue is created").queue_url.expect("a queue has a URL");
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:000000000000:dead","maxReceiveCount":10}"#;
    let low = emulator.sqs.create_queue().queue_name("low").attributes(QueueAttributeName::RedrivePolicy, policy);
    emulator.sqs.create_queue().queue_name("dead").send().await.expect("the queue is created");
    let low = low.send().await.expect("the queue is created").queue_url.expect("a queue has a URL");
    let config = CONFIG.replace("http://127.0.0.1:1", &emulator.endpoint_url);
    let folder = Folder::new();
    folder.write("protobridge.yaml", config.replace("'}]", &format!("'}}, {{url: '{queue}'}}, {{url: '{low}'}}]")));
    folder.write("customers.yaml", format!("customers: [{{id: a, topic: '{topic}'}}, {{id: b, topic: '{topic}-b'}}]"));
    let end = folder.output_of(&mut protobridge(), &["check", "--online", "--config", "protobridge.yaml"]);
    insta::with_settings!({filters => FILTERS}, {
        insta::allow_duplicates! {
            assert_snapshot!(end, @"
            configuration  protobridge.yaml: 3 queue(s)
            descriptors    descriptors: 2 set(s), 27 message type(s)
            customers      customers.yaml: 2, 2 enabled
            online         queue http://[address]/000000000000/events: AWS.SimpleQueueService.[code and message]; create the queue, or correct `queues[].url`
            online         queue http://[address]/000000000000/there: ok
            online         queue http://[address]/000000000000/low: ok
            online         topic arn:aws:sns:eu-west-1:000000000000:acme: ok
            online         topic arn:aws:sns:eu-west-1:000000000000:acme-b: [code and message]
            redrive        queue there: no redrive policy: a message that cannot be finished is retried until the queue's retention ends
            warning        queue low: maxReceiveCount 10 is too low: an event of unknown type is received up to 11 times within `retry.unknown_type_grace_seconds`, and SQS can move it to arn:aws:sqs:eu-west-1:000000000000:dead before its schema arrives; set it to 17 or more
            error: 2 of the resources that the configuration names cannot be used
            exit code 1
            ");
        }
    });
}
