//! `protobridge cost` and `protobridge throttles` on a store in a folder.

use std::fs;
use std::path::Path;

use protobridge::store::counters::{Calls, Minute, Published};

use crate::command::{self, Ended, protobridge};

/// 2026-11-28 12:03:00 UTC.
const BEGIN: i64 = 1_795_867_380_000_000;
const WINDOW: [&str; 2] = ["--from=2026-11-28T12:00:00Z", "--to=2026-11-28T12:04:00Z"];

/// Runs a report on the store in `folder`, or without a store.
fn report(command: &str, folder: Option<&Path>, options: &[&str]) -> Ended {
    let configuration = tempfile::NamedTempFile::new().expect("the file can be created");
    let store = folder.map_or_else(String::new, |folder| format!("store: {{url: 'file://{}'}}\n", folder.display()));
    let queues = "queues: [{url: https://sqs.eu-west-1.amazonaws.com/123456789012/events}]\n";
    fs::write(configuration.path(), store + queues).expect("the file can be written");
    let mut protobridge = protobridge();
    protobridge.arg(command).arg("--config").arg(configuration.path()).args(WINDOW).args(options);
    command::run(protobridge.env("AWS_REGION", "eu-west-1"), b"")
}

/// Stores a minute of each of two replicas. Each has published 20 entries in 4 calls for acme.
fn store_minutes(folder: &Path) {
    for replica in ["pod-a", "pod-b"] {
        let calls = Calls {
            service: "sns".into(),
            operation: "PublishBatch".into(),
            customer: Some("acme".into()),
            calls: 4,
            entries: 20,
            bytes: 20_000,
            units_per_call: 4,
            units_per_entry: 20,
            ..Calls::default()
        };
        let published = Published {
            customer: Some("acme".into()),
            event_type: "shop.v1.OrderPlaced".into(),
            entries: 20,
            bytes: 20_000,
            micro_units_per_call: 4_000_000,
            units_per_entry: 20,
            ..Published::default()
        };
        let minute = Minute {
            replica: replica.into(),
            incarnation: "19a8c0ffee0badca".into(),
            is_last: true,
            from: BEGIN,
            to: BEGIN + 60_000_000,
            region: Some("eu-west-1".into()),
            calls: vec![calls],
            published: vec![published],
            ..Minute::default()
        };
        let hour = folder.join("counters/v1/date=2026-11-28/hour=12");
        fs::create_dir_all(&hour).expect("the folder can be created");
        let json = serde_json::to_vec(&minute).expect("a minute has a JSON form");
        fs::write(hour.join(format!("0300-{replica}-19a8c0ffee0badca-0.json")), json).expect("it can be written");
    }
}

#[test]
fn the_reports_add_up_the_counters_of_all_replicas() {
    let folder = tempfile::tempdir().expect("the folder can be created");
    store_minutes(folder.path());
    let cost = report("cost", Some(folder.path()), &["--json"]);
    assert_eq!((cost.code, &*cost.stderr), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&cost.stdout).expect("the output is JSON");
    assert_eq!(json["coverage"]["replicas"], serde_json::json!(["pod-a", "pod-b"]));
    assert_eq!(json["coverage"]["breaks"], serde_json::json!([]));
    assert_eq!((&json["rows"][0]["name"], &json["rows"][0]["deliveries"]), (&"acme".into(), &40.into()));
    assert_eq!(json["total"]["units"], serde_json::json!({"per_call": 8.0, "per_entry": 40.0}));
    let csv = report("cost", Some(folder.path()), &["--csv", "--by=type"]);
    assert_eq!((csv.code, &*csv.stderr), (Some(0), ""));
    let second = csv.stdout.lines().nth(1).expect("the output has a row");
    assert_eq!(second, "shop.v1.OrderPlaced,,0,40,8,40,0,0,,0.000004,0.00002,0.1,0.5,,USD");
    let throttles = report("throttles", Some(folder.path()), &[]);
    assert_eq!((throttles.code, &*throttles.stderr), (Some(0), ""));
    let first = throttles.stdout.lines().next().expect("the output has a line");
    assert_eq!(first, "SNS throttled no call between 2026-11-28 12:03:00 and 12:04:00 UTC, over 2 replica(s)");
    assert!(throttles.stdout.contains("quota on paper: 9,000 messages/s"), "{}", throttles.stdout);
}

#[test]
fn without_counters_a_report_names_the_prefix_that_it_read() {
    let folder = tempfile::tempdir().expect("the folder can be created");
    for (command, about) in [("cost", "the cost"), ("throttles", "whether SNS throttled")] {
        let ended = report(command, Some(folder.path()), &[]);
        let expected = format!(
            "error: no counters begin between 2026-11-28 12:00:00 and 12:04:00 UTC under file://{}/counters/v1/, so \
             {about} is unknown; each replica writes an object per minute if its configuration has this `store.url`, and \
             if `journal.enabled` is not false\n",
            folder.path().display()
        );
        assert_eq!((ended.code, ended.stdout, ended.stderr), (Some(1), String::new(), expected));
    }
}

#[test]
fn without_a_store_a_report_says_how_to_set_it() {
    for command in ["cost", "throttles"] {
        let ended = report(command, None, &[]);
        assert_eq!((ended.code, &*ended.stdout), (Some(64), ""));
        assert!(ended.stderr.contains("store.url: is not set"), "{}", ended.stderr);
        assert!(ended.stderr.contains("file:///var/lib/protobridge"), "{}", ended.stderr);
    }
}
