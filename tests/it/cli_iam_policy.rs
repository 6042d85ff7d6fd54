//! `protobridge iam-policy`, which prints the permissions that the service's role needs, and no others.

mod buckets;

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::command::{self, bare};

const DESCRIPTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors");

const PLAIN: &str = "queues: [{url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'}]\n";
const CUSTOMERS: &str = "\
customers:
  - {id: acme, topic: 'arn:aws:sns:eu-west-1:123456789012:json-acme'}
  - {id: gone, topic: 'arn:aws:sns:eu-west-1:123456789012:json-gone', enabled: false}
";

/// Runs the command with this configuration and these customers. Returns its output and its exit code as text.
fn iam_policy(config: &str, customers: &str, arguments: &[&str]) -> String {
    let folder = TempDir::new().expect("a temporary folder can be created");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the file can be written");
    let descriptors = serde_json::Value::from(DESCRIPTORS);
    let sets =
        if config.contains("descriptors:") { String::new() } else { format!("descriptors: {{path: {descriptors}}}\n") };
    write("protobridge.yaml", &format!("{config}{sets}"));
    write("customers.yaml", customers);
    let arguments = ["iam-policy", "--config", "protobridge.yaml"].iter().chain(arguments);
    let ended = command::run(bare().current_dir(folder.path()).args(arguments), b"");
    format!("{}{}exit code {}", ended.stdout, ended.stderr, ended.code.expect("the command was not killed by a signal"))
}

/// Formats a printed policy in two lines per statement.
fn statements(end: &str) -> String {
    let text = end.strip_suffix("exit code 0").unwrap_or_else(|| panic!("{end}"));
    let policy: serde_json::Value = serde_json::from_str(text).expect("the output is JSON");
    let statements = policy["Statement"].as_array().expect("the policy has statements").iter();
    let line = |statement: &serde_json::Value| {
        assert_eq!(statement["Effect"], "Allow");
        let sid = statement["Sid"].as_str().expect("each statement has a Sid");
        let condition = statement.get("Condition").map(|condition| format!("\n  if {condition}")).unwrap_or_default();
        format!("{sid}: {}\n  on {}{condition}\n", statement["Action"], statement["Resource"])
    };
    statements.map(line).collect()
}

#[test]
fn the_policy_covers_a_queue_and_a_topic() {
    assert_snapshot!(iam_policy(PLAIN, CUSTOMERS, &[]), @r#"
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Receive",
          "Effect": "Allow",
          "Action": [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes"
          ],
          "Resource": [
            "arn:aws:sqs:eu-west-1:123456789012:events"
          ]
        },
        {
          "Sid": "Publish",
          "Effect": "Allow",
          "Action": [
            "sns:Publish",
            "sns:GetTopicAttributes"
          ],
          "Resource": [
            "arn:aws:sns:eu-west-1:123456789012:json-acme"
          ]
        }
      ]
    }
    exit code 0
    "#);
}

#[test]
fn the_policy_covers_everything_that_the_configuration_uses() {
    let config = "\
aws: {region: cn-north-1}
queues:
  - {url: 'https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders.fifo', quarantine_url: 'https://sqs.cn-north-1.amazonaws.com.cn/123456789012/bad.fifo'}
  - {url: 'http://queues.internal:9324/123456789012/events'}
envelope: {s3_buckets: [large-events]}
route: {check_topics: false, topic_template: 'arn:aws-cn:sns:cn-north-1:123456789012:json-{customer}', unknown_customer: 'arn:aws-cn:sns:cn-north-1:123456789012:unknown'}
";
    let customers = "customers: [{id: acme}, {id: globex}]";
    let key = |name: &str| format!("arn:aws-cn:kms:cn-north-1:123456789012:key/{name}");
    let (q, d, t, b) = (key("q"), key("d"), key("t"), key("b"));
    let dead = "arn:aws-cn:sqs:cn-north-1:123456789012:dead";
    let arguments = [
        "--topic-pattern",
        "--dead-letter-queue",
        dead,
        "--queue-key",
        &q,
        "--quarantine-key",
        &d,
        "--topic-key",
        &t,
        "--bucket-key",
        &b,
    ];
    assert_snapshot!(statements(&iam_policy(config, customers, &arguments)), @r#"
    Receive: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"]
      on ["arn:aws-cn:sqs:cn-north-1:123456789012:events","arn:aws-cn:sqs:cn-north-1:123456789012:orders.fifo"]
    CountDeadLetters: ["sqs:GetQueueAttributes"]
      on ["arn:aws-cn:sqs:cn-north-1:123456789012:dead"]
    Quarantine: ["sqs:SendMessage","sqs:GetQueueAttributes"]
      on ["arn:aws-cn:sqs:cn-north-1:123456789012:bad.fifo"]
    Publish: ["sns:Publish"]
      on ["arn:aws-cn:sns:cn-north-1:123456789012:json-*","arn:aws-cn:sns:cn-north-1:123456789012:unknown"]
    FetchLargeEvents: ["s3:GetObject"]
      on ["arn:aws-cn:s3:::large-events/*"]
    FindLargeEvents: ["s3:ListBucket"]
      on ["arn:aws-cn:s3:::large-events"]
    DecryptQueues: ["kms:Decrypt"]
      on ["arn:aws-cn:kms:cn-north-1:123456789012:key/q"]
    EncryptQuarantine: ["kms:GenerateDataKey","kms:Decrypt"]
      on ["arn:aws-cn:kms:cn-north-1:123456789012:key/d"]
    EncryptTopics: ["kms:GenerateDataKey*","kms:Decrypt"]
      on ["arn:aws-cn:kms:cn-north-1:123456789012:key/t"]
    DecryptBuckets: ["kms:Decrypt"]
      on ["arn:aws-cn:kms:cn-north-1:123456789012:key/b"]
    "#);
}

#[test]
fn the_policy_covers_the_path_of_the_canary() {
    let config = format!(
        "{PLAIN}canary: {{topic: 'arn:aws:sns:eu-west-1:123456789012:canary', \
         return_queue_url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/canary-return'}}\n"
    );
    assert_snapshot!(statements(&iam_policy(&config, CUSTOMERS, &[])), @r#"
    Receive: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    SendCanaries: ["sqs:SendMessage"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    ReceiveCanaries: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"]
      on ["arn:aws:sqs:eu-west-1:123456789012:canary-return"]
    Publish: ["sns:Publish","sns:GetTopicAttributes"]
      on ["arn:aws:sns:eu-west-1:123456789012:canary","arn:aws:sns:eu-west-1:123456789012:json-acme"]
    "#);
}

/// Returns a configuration with a store. Its prefix ends with a slash, which no policy repeats.
fn with_store(kms_key_id: &str) -> String {
    format!("{PLAIN}store: {{url: 's3://acme-protobridge/prod/', kms_key_id: '{kms_key_id}'}}\n")
}

const STORE_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/store";

#[test]
fn the_service_writes_below_the_prefix_of_its_store_and_does_nothing_else_there() {
    assert_snapshot!(statements(&iam_policy(&with_store(STORE_KEY), CUSTOMERS, &[])), @r#"
    Receive: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    Publish: ["sns:Publish","sns:GetTopicAttributes"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]
    WriteStore: ["s3:PutObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/*"]
    EncryptStore: ["kms:GenerateDataKey"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/store"]
    "#);
}

#[test]
fn a_reader_reads_and_lists_below_the_prefix_of_the_store_and_does_nothing_else() {
    let reader = ["--for", "reader"];
    assert_snapshot!(statements(&iam_policy(&with_store(STORE_KEY), CUSTOMERS, &reader)), @r#"
    ReadStore: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/*"]
    ListStore: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-protobridge"]
      if {"StringLike":{"s3:prefix":["prod/*"]}}
    DecryptStore: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/store"]
    "#);
    let whole_bucket = format!("{PLAIN}store: {{url: 's3://acme-protobridge'}}\n");
    assert_snapshot!(statements(&iam_policy(&whole_bucket, CUSTOMERS, &reader)), @r#"
    ReadStore: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-protobridge/*"]
    ListStore: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-protobridge"]
    "#);
}

#[test]
fn a_replay_publishes_and_writes_its_progress_and_cannot_change_the_archive_or_a_queue() {
    let replay = ["--for", "replay"];
    assert_snapshot!(statements(&iam_policy(&with_store(STORE_KEY), CUSTOMERS, &replay)), @r#"
    Publish: ["sns:Publish"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]
    ReadStore: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/archive/*","arn:aws:s3:::acme-protobridge/prod/journal/*","arn:aws:s3:::acme-protobridge/prod/replays/*"]
    ListStore: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-protobridge"]
      if {"StringLike":{"s3:prefix":["prod/archive/*","prod/journal/*","prod/replays/*"]}}
    WriteStore: ["s3:PutObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/journal/*","arn:aws:s3:::acme-protobridge/prod/replays/*"]
    DeleteProgress: ["s3:DeleteObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/replays/*"]
    UseStoreKey: ["kms:GenerateDataKey","kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/store"]
    "#);
    let everything = "\
queues: [{url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'}]
envelope: {s3_buckets: [large-events]}
route: {topic_template: 'arn:aws:sns:eu-west-1:123456789012:json-{customer}'}
store: {url: 's3://acme-protobridge'}
";
    let key = |name: &str| format!("arn:aws:kms:eu-west-1:123456789012:key/{name}");
    let (q, t, b, s) = (key("q"), key("t"), key("b"), key("s"));
    let keys = ["--queue-key", &q, "--topic-key", &t, "--bucket-key", &b, "--store-key", &s];
    let arguments: Vec<&str> = replay.iter().chain(&["--topic-pattern"]).chain(&keys).copied().collect();
    assert_snapshot!(statements(&iam_policy(everything, "customers: [{id: acme}]", &arguments)), @r#"
    Publish: ["sns:Publish"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-*"]
    FetchLargeEvents: ["s3:GetObject"]
      on ["arn:aws:s3:::large-events/*"]
    FindLargeEvents: ["s3:ListBucket"]
      on ["arn:aws:s3:::large-events"]
    EncryptTopics: ["kms:GenerateDataKey*","kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/t"]
    DecryptBuckets: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/b"]
    ReadStore: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-protobridge/archive/*","arn:aws:s3:::acme-protobridge/journal/*","arn:aws:s3:::acme-protobridge/replays/*"]
    ListStore: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-protobridge"]
      if {"StringLike":{"s3:prefix":["archive/*","journal/*","replays/*"]}}
    WriteStore: ["s3:PutObject"]
      on ["arn:aws:s3:::acme-protobridge/journal/*","arn:aws:s3:::acme-protobridge/replays/*"]
    DeleteProgress: ["s3:DeleteObject"]
      on ["arn:aws:s3:::acme-protobridge/replays/*"]
    UseStoreKey: ["kms:GenerateDataKey","kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/s"]
    "#);
    let folder = format!("{PLAIN}store: {{url: 'file:///var/lib/protobridge'}}\n");
    let ends = [statements(&iam_policy(&folder, CUSTOMERS, &replay)), iam_policy(PLAIN, CUSTOMERS, &replay)];
    assert_snapshot!(ends.join("\n\n"), @r#"
    Publish: ["sns:Publish"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]


    error: --for replay requires `store.url`, which names the place of the archive, such as s3://acme/prod; see --help
    exit code 2
    "#);
}

#[test]
fn a_redrive_works_on_quarantine_queues_and_cannot_receive_from_the_others() {
    let redrive = ["--for", "redrive"];
    let everything = "\
queues:
  - url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/events'
    quarantine_url: 'https://sqs.eu-west-1.amazonaws.com/123456789012/bad'
envelope: {s3_buckets: [large-events]}
store: {url: 's3://acme-protobridge/prod'}
";
    let key = |name: &str| format!("arn:aws:kms:eu-west-1:123456789012:key/{name}");
    let (q, b, s) = (key("queue"), key("quarantine"), key("store"));
    let keys = ["--queue-key", &q, "--quarantine-key", &b, "--store-key", &s];
    let arguments: Vec<&str> = redrive.iter().chain(&keys).copied().collect();
    assert_snapshot!(statements(&iam_policy(everything, CUSTOMERS, &arguments)), @r#"
    Redrive: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes","sqs:SendMessage"]
      on ["arn:aws:sqs:eu-west-1:123456789012:bad"]
    SendBack: ["sqs:SendMessage"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    Publish: ["sns:Publish"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]
    FetchLargeEvents: ["s3:GetObject"]
      on ["arn:aws:s3:::large-events/*"]
    FindLargeEvents: ["s3:ListBucket"]
      on ["arn:aws:s3:::large-events"]
    UseQuarantineKeys: ["kms:GenerateDataKey","kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/quarantine"]
    EncryptQueues: ["kms:GenerateDataKey","kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/queue"]
    WriteJournal: ["s3:PutObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/journal/*"]
    EncryptStore: ["kms:GenerateDataKey"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/store"]
    "#);
}

#[test]
fn the_key_of_the_store_is_named_by_its_arn() {
    let by_alias = with_store("alias/store");
    let folder = format!("{PLAIN}store: {{url: 'file:///var/lib/protobridge'}}\n");
    let ends = [
        iam_policy(&by_alias, CUSTOMERS, &[]),
        iam_policy(&folder, CUSTOMERS, &["--for", "reader"]),
        statements(&iam_policy(&by_alias, CUSTOMERS, &["--for", "reader", "--store-key", STORE_KEY])),
        statements(&iam_policy(&folder, CUSTOMERS, &[])),
    ];
    assert_snapshot!(ends.join("\n\n"), @r#"
    error: a policy needs the ARN of the key in `store.kms_key_id`; add --store-key ARN; see --help
    exit code 2

    error: --for reader requires a bucket in `store.url`, such as s3://acme/prod; see --help
    exit code 2

    ReadStore: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/*"]
    ListStore: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-protobridge"]
      if {"StringLike":{"s3:prefix":["prod/*"]}}
    DecryptStore: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/store"]


    Receive: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    Publish: ["sns:Publish","sns:GetTopicAttributes"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]
    "#);
}

#[test]
fn the_error_explains_why_no_policy_can_be_derived() {
    let local = "queues: [{url: 'http://127.0.0.1:4566/000000000000/events'}]\n";
    let wrong = ["--queue-key", "arn:aws:kms:eu-west-1:123456789012:alias/events"];
    let ends = [
        iam_policy(local, CUSTOMERS, &[]),
        iam_policy(PLAIN, CUSTOMERS, &["--topic-pattern"]),
        iam_policy(PLAIN, CUSTOMERS, &wrong),
        iam_policy("queues: []\n", CUSTOMERS, &[]),
    ];
    assert_snapshot!(ends.join("\n\n"), @"
    error: cannot derive the ARN of queue http://127.0.0.1:4566/000000000000/events: neither its URL nor the configuration names a region; set `aws.region`
    exit code 1

    error: --topic-pattern requires `route.topic_template` in the configuration; see --help
    exit code 2

    error: invalid value 'arn:aws:kms:eu-west-1:123456789012:alias/events' for '--queue-key <ARN>': not the ARN of a KMS key, such as arn:aws:kms:eu-west-1:123456789012:key/1234abcd

    For more information, try '--help'.
    exit code 2

    error: protobridge.yaml:1:1: queues: at least one queue to receive from is needed, such as `queues: [{url: https://sqs.eu-west-1.amazonaws.com/123456789012/events}]`
    exit code 64
    ");
}

#[test]
fn a_warning_explains_how_to_shorten_a_policy_over_the_iam_limit() {
    let customer =
        |n: u32| format!("  - {{id: c{n}, topic: 'arn:aws:sns:eu-west-1:123456789012:json-customer-{n}'}}\n");
    let customers: String = (0..200).map(customer).collect();
    let end = iam_policy(PLAIN, &format!("customers:\n{customers}"), &[]);
    let (_, said) = end.rsplit_once("}\n").expect("the output holds a policy");
    assert_snapshot!(said, @"
    warning: the policy has 11225 characters, but IAM limits a managed policy to 6144; use --topic-pattern, or split the topics among several policies
    exit code 0
    ");
}
