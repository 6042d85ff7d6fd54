use std::time::UNIX_EPOCH;

use clap::Parser as _;

use super::*;
use crate::store::journal::{Hole, HoleKind, Looked};

/// 2026-11-28T12:00:00Z.
const NOON: i64 = 1_795_867_200_000_000;
const MINUTE: i64 = 60_000_000;

#[derive(Debug, clap::Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn parse(args: &str) -> Result<Args, clap::Error> {
    Command::try_parse_from(["trace"].into_iter().chain(args.split_whitespace())).map(|command| command.args)
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(NOON.unsigned_abs())
}

/// Returns a UUIDv7 of this time.
fn v7(micros: i64) -> String {
    let hex = format!("{:012x}", micros / 1_000);
    format!("{}-{}-7abc-8def-0123456789ab", &hex[..8], &hex[8..])
}

#[test]
fn exactly_one_id_is_named() {
    let wanted = |args: &str| parse(args).unwrap().wanted();
    assert_eq!(wanted("e-1"), Wanted::Event("e-1".into()));
    assert_eq!(wanted("--message-id m-1"), Wanted::Message("m-1".into()));
    assert_eq!(wanted("--sns-message-id s-1 --customer acme"), Wanted::SnsMessage("s-1".into()));
    for wrong in ["", "e-1 --message-id m-1", "--message-id m-1 --sns-message-id s-1", "e-1 --json --sql"] {
        assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
    }
    // SNS accepts neither, so the journal has their hashes.
    for long in ["ä".to_owned(), "x".repeat(129)] {
        let Wanted::Event(id) = wanted(&long) else { panic!("{long} is an event") };
        assert!(id.starts_with("sha256:") && id == EventId::new(&long).as_str() && as_recorded(&id) == id, "{id}");
    }
}

#[test]
fn the_window_is_named_or_that_of_the_id_or_the_last_day() {
    let chosen = |args: &str| {
        let Chosen { window, why } = parse(args).unwrap().choose(now()).unwrap();
        ((window.start - NOON) / MINUTE..(window.end - NOON) / MINUTE, why)
    };
    let id = v7(NOON - 120 * MINUTE);
    assert_eq!(chosen("e-1"), (-1_440..0, "the last day; --from and --to name another time".into()));
    assert_eq!(chosen(&id), (-130..-70, "one hour around 2026-11-28 10:00:00, the time in the event id".into()));
    assert_eq!(chosen(&v7(NOON - 5 * MINUTE)).0, -15..0);
    // A clock that is ahead by more than the window begins before the event.
    assert_eq!(chosen(&v7(NOON + 20 * MINUTE)).0, -1_440..0);
    assert_eq!(chosen(&format!("{id} --from 1h")), (-60..0, "named by --from and --to".into()));
    assert_eq!(chosen("--message-id 0 --to 1h").0, -1_500..-60);
    // Only an event id is the producer's.
    assert_eq!(chosen(&format!("--message-id {id}")).0, -1_440..0);
}

fn row() -> Row {
    Row {
        event_id: Some("e-1".into()),
        event_type: Some("shop.v1.OrderPlaced".into()),
        customer: Some("acme".into()),
        topic: Some("arn:aws:sns:eu-west-1:123456789012:json-acme".into()),
        queue: "events".into(),
        message_id: "m-1".into(),
        receive_count: 1,
        sent_at: NOON - MINUTE,
        received_at: NOON - MINUTE + 17_000,
        published_at: Some(NOON - MINUTE + 35_000),
        settled_at: NOON - MINUTE + 40_001,
        outcome: "published".into(),
        attempts: Some(1),
        throttles: Some(0),
        sns_message_id: Some("s-1".into()),
        replica: "pod-a".into(),
        ..Row::default()
    }
}

fn looked(holes: Vec<Hole>) -> Looked {
    Looked { segments: 1, replicas: ["pod-a".to_owned()].into(), ranges: 3, bytes: 4_096, holes, ..Looked::default() }
}

fn died() -> Hole {
    let (from, to) = (NOON - 30 * MINUTE, Some(NOON - 29 * MINUTE));
    Hole { replica: "pod-b".into(), incarnation: "cafe".into(), from, to, kind: HoleKind::Died }
}

/// Returns the answer to `args` as text and as JSON.
fn answered(args: &str, rows: Vec<Row>, holes: Vec<Hole>) -> (String, serde_json::Value) {
    let args = parse(args).unwrap();
    let (wanted, chosen) = (args.wanted(), args.choose(now()).unwrap());
    let found = Found { rows, looked: looked(holes) };
    let answer = answer(&Config::default(), &args, &wanted, chosen, &found, now());
    let mut text = Vec::new();
    answer.write(&mut text, args.explain).unwrap();
    (String::from_utf8(text).unwrap(), answer.json())
}

#[test]
fn the_text_names_the_window_and_says_what_was_looked_at_if_nothing_was_found() {
    let found = answered("e-1", vec![row()], Vec::new()).0;
    let explained = answered("e-1 --explain", vec![row()], vec![died()]).0;
    let nothing = answered("e-1", Vec::new(), Vec::new()).0;
    let unknown = answered("--message-id m-1", Vec::new(), vec![died()]).0;
    insta::assert_snapshot!([found, explained, nothing, unknown].join("---\n"), @r#"
    Window: 2026-11-27 12:00:00 to 2026-11-28 12:00:00 UTC (the last day; --from and --to name another time)
    shop.v1.OrderPlaced e-1
     2026-11-28 (UTC)
     11:59:00.000  sent to queue events as m-1
     11:59:00.017  received by pod-a (first time)
     11:59:00.035  published to json-acme: SNS message s-1, 1 attempt
    acme's topic got it once.
    If acme saw it twice, compare the SNS message ids: only s-1 came through here.
    ---
    Window: 2026-11-27 12:00:00 to 2026-11-28 12:00:00 UTC (the last day; --from and --to name another time)
    shop.v1.OrderPlaced e-1
     2026-11-28 (UTC)
     11:59:00.000  sent to queue events as m-1
     11:59:00.017  received by pod-a (first time)
     11:59:00.035  published to json-acme: SNS message s-1, 1 attempt
    acme's topic got it at least once; whether it got it again is not known.
    If acme saw it twice, compare the SNS message ids: s-1 came through here.
    Looked at 1 segment of pod-a: 3 ranges read, 4096 bytes.
    Rows can be missing:
      No record of pod-b between 2026-11-28 11:30:00 and 11:31:00: it died; what it did then is unknown.
    ---
    Window: 2026-11-27 12:00:00 to 2026-11-28 12:00:00 UTC (the last day; --from and --to name another time)
    No record of event e-1 between 2026-11-27 12:00:00 and 2026-11-28 12:00:00: every segment of every replica in this window was read (1 segment), and none has it.
    Looked at 1 segment of pod-a: 3 ranges read, 4096 bytes.
    So no message with this event id was settled in this time. It can be in its queue still; or it was quarantined before its id was read, and then --message-id finds it; or the event has another id or another time.
    ---
    Window: 2026-11-27 12:00:00 to 2026-11-28 12:00:00 UTC (the last day; --from and --to name another time)
    Not known: no row about SQS message m-1 was found, but rows between 2026-11-27 12:00:00 and 2026-11-28 12:00:00 can be missing.
    Looked at 1 segment of pod-a: 3 ranges read, 4096 bytes.
    Rows can be missing:
      No record of pod-b between 2026-11-28 11:30:00 and 11:31:00: it died; what it did then is unknown.
    To be sure, name a time with --from and --to for which the journal is complete.
    "#);
}

#[test]
fn the_json_has_rows_holes_and_the_verdict() {
    let (_, json) = answered("--sns-message-id s-1", vec![row()], vec![died()]);
    insta::assert_snapshot!(format!("{json:#}"), @r#"
    {
      "event": "e-1",
      "wanted": {
        "sns_message_id": "s-1"
      },
      "window": {
        "from": "2026-11-27T12:00:00.000000Z",
        "to": "2026-11-28T12:00:00.000000Z",
        "why": "the last day; --from and --to name another time"
      },
      "rows": [
        {
          "event_id": "e-1",
          "event_type": "shop.v1.OrderPlaced",
          "customer": "acme",
          "topic": "arn:aws:sns:eu-west-1:123456789012:json-acme",
          "queue": "events",
          "message_id": "m-1",
          "receive_count": 1,
          "sent_at": "2026-11-28T11:59:00.000000Z",
          "received_at": "2026-11-28T11:59:00.017000Z",
          "published_at": "2026-11-28T11:59:00.035000Z",
          "settled_at": "2026-11-28T11:59:00.040001Z",
          "outcome": "published",
          "reason": null,
          "detail": null,
          "attempts": 1,
          "throttles": 0,
          "sns_message_id": "s-1",
          "sequence_number": null,
          "request_id": null,
          "duplicate_cause": null,
          "first_message_id": null,
          "schema_hash": null,
          "trace_id": null,
          "replay": null,
          "redrive": false,
          "replica": "pod-a"
        }
      ],
      "looked": {
        "segments": 1,
        "replicas": [
          "pod-a"
        ],
        "ranges": 3,
        "bytes": 4096,
        "dropped": []
      },
      "holes": [
        {
          "replica": "pod-b",
          "incarnation": "cafe",
          "from": "2026-11-28T11:30:00.000000Z",
          "to": "2026-11-28T11:31:00.000000Z",
          "kind": "died"
        }
      ],
      "not_known": [
        "No record of pod-b between 2026-11-28 11:30:00 and 11:31:00: it died; what it did then is unknown."
      ],
      "verdict": "acme's topic got it at least once; whether it got it again is not known. If acme saw it twice, compare the SNS message ids: s-1 came through here.",
      "found": true,
      "known": false
    }
    "#);
    let (_, of_other) = answered("e-1 --customer hooli", vec![row()], Vec::new());
    assert_eq!(of_other["rows"], serde_json::json!([]));
    assert_eq!((&of_other["found"], &of_other["known"]), (&false.into(), &true.into()), "{of_other}");
}
