use super::*;
use crate::config::names::EXAMPLE_QUEUE;

/// Returns the problems of `yaml`, one per line. A valid queue is added if `yaml` has no queues.
fn problems(yaml: &str) -> String {
    let queue = "queues: [{url: http://localhost:4566/000000000000/events}]\n";
    let yaml = if yaml.contains("queues:") { yaml.to_owned() } else { format!("{queue}{yaml}") };
    let config: Config = strict_config::document("protobridge.yaml".as_ref(), &yaml).unwrap();
    config.problems().iter().map(|problem| format!("{problem}\n")).collect()
}

fn queues(yaml: &str) -> String {
    problems(&format!("queues:\n{yaml}"))
}

fn template(text: &str) -> String {
    problems(&format!("route: {{topic_template: '{text}'}}"))
}

#[test]
fn valid_values_have_no_problems() {
    for yaml in [
        "aws: {region: eu-west-1, endpoint_url: 'http://localhost:4566'}",
        "queues: [{url: 'https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a.fifo', default_type: Event}]",
        "queues: [{url: 'http://sqs.eu-west-1.localhost.localstack.cloud:4566/000000000000/a'}]",
        "queues: [{url: 'https://h/1/a.fifo', quarantine_url: 'https://h/1/dead'}]",
        "route: {topic_template: 'arn:aws:sns:eu-west-1:123456789012:{customer}-events.fifo'}",
        "route: {topic_template: 'arn:aws-us-gov:sns:us-gov-west-1:123456789012:json-{customer}'}",
        "route: {without_customer: 'arn:aws:sns:eu-west-1:123456789012:nobody', unknown_customer: drop}",
        "route: {broadcast: ['*', 'shop.*.Heartbeat', 'a_1.v1.X*']}",
        "taps: {customer: [tenant_id, meta.account_id, _a.b]}",
        "retry: {min_seconds: 5, max_seconds: 5}",
        "traces: {otlp_endpoint: 'https://collector.example.internal/otlp', sample_ratio: 0.001}",
        "dedupe: {redis_url: 'rediss://user:secret@cache.example.internal:6380/1'}",
    ] {
        assert_eq!(problems(yaml), "", "{yaml}");
    }
}

#[test]
fn a_queue_needs_a_valid_url() {
    let yamls = ["- name: a", "- url: arn:aws:sqs:eu-west-1:123456789012:events", "- url: arn:aws:sns:r:1:events"];
    insta::assert_snapshot!(yamls.map(queues).concat(), @"
    queues[0].url: missing; a queue needs its URL, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
    queues[0].url: is an ARN; the queue's URL is `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
    queues[0].url: is an ARN; expected the queue's URL, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
    ");
    for url in ["events", "ftp://h/1/a", "https://h", "https://h/", "https://h/1/", "https:///a", "https://h/1/a b"] {
        let expected = format!("queues[0].url: is not a queue's URL such as `{EXAMPLE_QUEUE}`\n");
        assert_eq!(queues(&format!("- url: {url}")), expected, "{url}");
    }
    insta::assert_snapshot!(queues("- {url: 'https://h/1/a', name: '', default_type: .a.B, quarantine_url: dead}"), @"
    queues[0].quarantine_url: is not a queue's URL such as `https://sqs.eu-west-1.amazonaws.com/123456789012/events`
    queues[0].name: must not be empty; leave it out to use the last segment of the URL
    queues[0].default_type: is not a full name such as `shop.v1.OrderPlaced`
    ");
}

#[test]
fn queues_must_differ_from_each_other_and_from_quarantine_queues() {
    let yamls = [
        "- url: https://h/1/a\n- url: https://h/1/a",
        "- url: https://h/1/a\n- url: https://h/2/a",
        "- url: https://h/1/a\n- {url: 'https://h/1/b', name: a}",
        "- {url: 'https://h/1/a', quarantine_url: 'https://h/1/a'}",
        "- {url: 'https://h/1/a', quarantine_url: 'https://h/1/b'}\n- url: https://h/1/b",
    ];
    insta::assert_snapshot!(yamls.map(queues).concat(), @"
    queues[1].url: is also the URL of queues[0]
    queues[1].name: `a` is also the name of queues[0]; metrics and logs could not tell them apart
    queues[1].name: `a` is also the name of queues[0]; metrics and logs could not tell them apart
    queues[0].quarantine_url: is the URL of the queue itself; quarantined messages would be received again
    queues[0].quarantine_url: is also the URL of queues[1]; quarantined messages would be received again
    ");
}

#[test]
fn queues_and_topics_must_be_in_the_configured_region() {
    let with = |aws: &str| {
        let topic = "arn:aws:sns:eu-west-1:123456789012:nobody";
        problems(&format!("aws: {aws}\nqueues: [{{url: '{EXAMPLE_QUEUE}'}}]\nroute: {{unknown_customer: '{topic}'}}"))
    };
    insta::assert_snapshot!(with("{region: us-east-1}"), @"
    queues[0].url: is in eu-west-1, but protobridge calls AWS in us-east-1 (`aws.region`); one process serves one region
    route.unknown_customer: is in eu-west-1, but protobridge calls AWS in us-east-1 (`aws.region`); one process serves one region
    ");
    assert_eq!(with("{region: eu-west-1}"), "");
    assert_eq!(with("{region: us-east-1, endpoint_url: 'http://localhost:4566'}"), with("{region: us-east-1}"));
}

#[test]
fn a_region_that_no_key_sets_is_checked_as_well() {
    let yaml =
        "queues: [{url: 'http://h/1/a'}]\nroute: {topic_template: 'arn:aws:sns:eu-west-1:123456789012:{customer}'}";
    let config: Config = strict_config::document("protobridge.yaml".as_ref(), yaml).unwrap();
    let settle = |region: Option<&str>| {
        let mut config = config.clone();
        let problems = config.settle_region(region.map(str::to_owned));
        (problems.iter().map(ToString::to_string).collect::<String>(), config.aws.region)
    };
    assert_eq!(settle(None), (String::new(), None));
    assert_eq!(settle(Some("eu-west-1")), (String::new(), Some("eu-west-1".to_owned())));
    insta::assert_snapshot!(settle(Some("us-east-1")).0, @"route.topic_template: is in eu-west-1, but protobridge calls AWS in us-east-1 (`aws.region`); one process serves one region");
}

#[test]
fn a_topic_must_be_an_arn_and_a_template_must_have_one_placeholder() {
    let templates = [
        "arn:aws:sns:eu-west-1:123456789012:events",
        "arn:aws:sns:eu-west-1:123456789012:{customer}-{customer}",
        "arn:aws:sns:{customer}:123456789012:events",
        "events-{customer}",
        "arn:aws:sqs:eu-west-1:123456789012:{customer}",
        "arn:aws:sns:eu-west-1:1234:{customer}",
        "arn:aws:sns::123456789012:{customer}",
        "arn:aws:sns:eu-west-1:123456789012:{tenant}-{customer}",
    ];
    insta::assert_snapshot!(templates.map(template).concat(), @"
    route.topic_template: lacks `{customer}`, as in `arn:aws:sns:eu-west-1:123456789012:events-{customer}`
    route.topic_template: has `{customer}` more than once
    route.topic_template: has `{customer}` outside the topic's name; expected `arn:aws:sns:eu-west-1:123456789012:events-{customer}`
    route.topic_template: has `{customer}` outside the topic's name; expected `arn:aws:sns:eu-west-1:123456789012:events-{customer}`
    route.topic_template: is not the ARN of an SNS topic such as `arn:aws:sns:eu-west-1:123456789012:events`
    route.topic_template: has no account number of 12 digits; a topic's ARN looks like `arn:aws:sns:eu-west-1:123456789012:events`
    route.topic_template: lacks the partition or the region; a topic's ARN looks like `arn:aws:sns:eu-west-1:123456789012:events`
    route.topic_template: ends in an invalid topic name; allowed are letters, digits, `-` and `_`, at most 256
    ");
    insta::assert_snapshot!(problems("route: {without_customer: quarentine, unknown_customer: 'arn:aws:sns:x'}"), @r#"
    route.without_customer: expected `quarantine`, `drop` or a topic ARN such as `arn:aws:sns:eu-west-1:123456789012:events`, found "quarentine"
    route.unknown_customer: expected `quarantine`, `drop` or a topic ARN such as `arn:aws:sns:eu-west-1:123456789012:events`, found "arn:aws:sns:x"
    "#);
}

#[test]
fn a_misspelled_log_level_is_refused() {
    let levels = ["inof", "warn,loud", "INFO", "info,protobridge::aws::sns::publish=debug,hyper_util=warn"];
    insta::assert_snapshot!(levels.map(|level| problems(&format!("log: {{level: '{level}'}}"))).concat(), @"
    log.level: `inof` is none of the levels off, error, warn, info, debug, trace; did you mean `info`?
    log.level: `loud` is none of the levels off, error, warn, info, debug, trace
    ");
}

#[test]
fn heartbeats_and_silence_rules_that_cannot_work_are_refused() {
    let yamls = [
        "heartbeats: {types: [{}, {type: a..b, source: '.x', sequence: '1', sent_at: a/b}]}",
        "heartbeats: {types: [{type: protobridge.v1.Heartbeat, source: s}, {type: a.B, source: s}]}",
        "heartbeats: {types: [{type: a.B, source: s, where: {path: t.}}, {type: a.C, source: s}, {type: a.C, source: t}]}",
        "heartbeats: {expect: [{}, {source: a, events: ['a b']}, {source: a}]}",
        &format!("heartbeats: {{expect: [{{source: other}}, {{source: '{}'}}]}}", "s".repeat(101)),
        "silence: [{}, {types: ['a..b', c.D], while: [c.D]}]",
    ];
    insta::assert_snapshot!(yamls.map(problems).concat(), @r#"
    heartbeats.types[0].type: missing; a heartbeat needs its message type, such as `shop.v1.ChangeEvent`
    heartbeats.types[0].source: missing; a heartbeat needs the path of the field that names its source
    heartbeats.types[1].type: is not a full name such as `shop.v1.ChangeEvent`
    heartbeats.types[1].sequence: "1" is not a path of field names such as `source.name`
    heartbeats.types[1].sent_at: "a/b" is not a path of field names such as `source.name`
    heartbeats.types[1].source: ".x" is not a path of field names such as `source.name`
    heartbeats.types[0].type: protobridge.v1.Heartbeat is a heartbeat already; remove the entry
    heartbeats.types[0].where.path: "t." is not a path of field names such as `source.name`
    heartbeats.types[0].where.equals: must not be empty; a field without a value has no text to compare
    heartbeats.types[2]: has the type and the condition of heartbeats.types[1], so it is never used
    heartbeats.expect[0].source: missing; an expected source needs its name, as its heartbeats have it
    heartbeats.expect[1].events[0]: "a b" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
    heartbeats.expect[2].source: `a` is also the source of heartbeats.expect[1]
    heartbeats.expect[0].source: `other` is the name of all sources beyond heartbeats.max_sources; rename it
    heartbeats.expect[1].source: has more than 100 characters or a control character, so no heartbeat matches it; give the source a shorter name
    silence[0].types: missing; a silence rule needs the message types that must not stop
    silence[1].types[0]: "a..b" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
    silence[1].while: has `c.D`, which is also in `types`: a type that stops cannot show that others flow
    "#);
    let valid = "heartbeats: {types: [{type: a.B, source: s, where: {path: t, equals: x}}, {type: a.B, source: s}]}";
    assert_eq!(problems(valid), "");
}

#[test]
fn invalid_names_and_bounds_are_refused() {
    let yamls = [
        "aws: {region: 'eu west', endpoint_url: 'localhost:4566', s3_endpoint_url: 's3:9000'}",
        "taps: {customer: [a.b, a..b, '1a'], ordering: ['', a/b]}",
        "route: {broadcast: [a b, 'a..b', '']}",
        "envelope: {payload_attribute: '', type_attribute: x y, event_id_attribute: customer-id}",
        "envelope: {s3_buckets: [large-events, 'arn:aws:s3:::events', '']}",
        "confluent: {schemas_file: '', registry_url: 'registry:8081'}\nglue: {schemas_file: ''}",
        "descriptors: {path: ''}\nroute: {customers_file: ''}\nprofiles: {'': {}}",
        "retry: {min_seconds: 400}",
        "receive: {min_pollers: 9, max_pollers: 8}",
        "dedupe: {redis_url: 'http://secret@cache:6379'}",
        "traces: {otlp_endpoint: 'collector:4318', sample_ratio: 10}",
    ];
    insta::assert_snapshot!(yamls.map(problems).concat(), @r#"
    aws.region: is not a region such as `eu-west-1`
    aws.endpoint_url: is not a URL such as `http://localhost:4566`
    aws.s3_endpoint_url: is not a URL such as `http://localhost:4566`
    taps.customer[1]: "a..b" is not a path of field names such as `meta.tenant_id`
    taps.customer[2]: "1a" is not a path of field names such as `meta.tenant_id`
    taps.ordering[0]: "" is not a path of field names such as `meta.tenant_id`
    taps.ordering[1]: "a/b" is not a path of field names such as `meta.tenant_id`
    route.broadcast[0]: "a b" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
    route.broadcast[1]: "a..b" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
    route.broadcast[2]: "" is not a message type such as `shop.v1.OrderPlaced` or a glob such as `shop.v1.*`
    envelope.payload_attribute: is not the name of a message attribute; allowed are letters, digits, `-`, `_` and `.`
    envelope.type_attribute: is not the name of a message attribute; allowed are letters, digits, `-`, `_` and `.`
    route.customer_attribute: is also the attribute of `envelope.event_id_attribute`
    envelope.s3_buckets[1]: "arn:aws:s3:::events" is not a bucket name; use lower-case letters, digits, `-` and `.`, and no ARN
    envelope.s3_buckets[2]: "" is not a bucket name; use lower-case letters, digits, `-` and `.`, and no ARN
    confluent.schemas_file: must not be empty; leave it out to have no file
    glue.schemas_file: must not be empty; leave it out to have no file
    confluent.registry_url: is not a URL such as `https://schema-registry:8081`
    route.customers_file: must not be empty
    descriptors.path: must not be empty
    profiles.: a profile needs a name
    retry: min_seconds (400) is more than max_seconds (300)
    receive: min_pollers (9) is more than max_pollers (8)
    dedupe.redis_url: is not a URL such as `redis://host:6379` or, with TLS, `rediss://host:6379`
    traces.otlp_endpoint: is not a URL such as `http://localhost:4318`
    traces.sample_ratio: 10 is not a share from 0 to 1
    "#);
}
