//! `protobridge replay` as a process, with an archive in a folder.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protobridge::cli::embedded::samples::Sample;
use protobridge::message::{EventId, Message as SqsMessage, OutcomeLabel, Queue as SqsQueue};
use protobridge::store::archive::{Declaration, Row, write};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::command::{self, Ended, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::queue::{Input, Message};
use crate::stage::Stage;
use crate::wait;

// What the emulators differ in has scenarios elsewhere.
scenarios! {
    both: [];
    embedded: [
        a_dry_run_predicts_the_run_to_the_event,
        a_replay_that_is_interrupted_continues_without_a_repetition,
        a_replay_that_is_killed_is_not_taken_over_at_once,
        unconfirmed_sends_exactly_what_the_journal_does_not_have,
        events_of_a_group_keep_their_order,
        what_is_not_sent_makes_the_command_fail,
    ];
    ministack: [];
}

/// An archive in a folder, and the messages that are in it.
struct Archive {
    folder: TempDir,
    rows: Vec<Row>,
    begin: i64,
}

impl Archive {
    /// Creates an archive that the service of a stage keeps, without messages. They will have been finished in the last
    /// hour but one.
    fn of(stage: &mut Stage) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be created");
        stage.config.store.url = Some(format!("file://{}", folder.path().display()));
        stage.config.archive.enabled = true;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs();
        Self { folder, rows: Vec::new(), begin: (now as i64 - 7_200) * 1_000_000 }
    }

    /// Adds a message, sent and finished a second after the one before it.
    fn add(&mut self, stage: &Stage, event: &Sample, outcome: OutcomeLabel) {
        let number = self.rows.len() as i64;
        let sent_at = self.begin + number * 1_000_000;
        let input = Input::body(event);
        let message = SqsMessage {
            queue: Arc::new(SqsQueue::from(&stage.config.queues[0])),
            message_id: format!("00000000-0000-4000-8000-{number:012}"),
            body: input.body,
            attributes: input.attributes.into_iter().collect::<HashMap<_, _>>(),
            sent: UNIX_EPOCH + Duration::from_micros(sent_at.unsigned_abs()),
            first_received: UNIX_EPOCH + Duration::from_micros(sent_at.unsigned_abs()),
            received: Instant::now(),
            receive_count: 1,
            group: None,
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
        };
        self.rows.push(Row {
            message: Arc::new(message),
            received_at: sent_at,
            settled_at: sent_at,
            outcome,
            event_id: Some(EventId::new(&event.event_id)),
            event_type: Some(event.message_type.as_str().into()),
            customer: event.customer.as_deref().map(Into::into),
            schema_hash: None,
        });
    }

    /// Adds events of these customers in turn. Returns them.
    fn fill(&mut self, stage: &mut Stage, customers: &[&str], count: usize) -> Vec<Sample> {
        let of = |number: usize| customers[number % customers.len()];
        let events: Vec<Sample> = (0..count).map(|number| stage.samples.next_event(&[of(number)])).collect();
        for event in &events {
            self.add(stage, event, OutcomeLabel::Published);
        }
        events
    }

    /// Stores the messages in two segments. A process that has not stopped in order leaves a gap.
    fn store(&self, has_stopped: bool) {
        let middle = self.rows.len() / 2;
        let at = |number: usize| self.begin + number as i64 * 1_000_000;
        for (number, rows) in [&self.rows[..middle], &self.rows[middle..]].into_iter().enumerate() {
            let (from, to) = if number == 0 { (0, middle) } else { (middle, self.rows.len()) };
            let declaration = Declaration {
                replica: "pod-a".into(),
                incarnation: "1a".into(),
                number: number as u64,
                from: at(from),
                to: at(to),
                next_by: at(to) + 1,
                oldest: rows.iter().map(|row| row.position().sent_at).min().unwrap_or(at(from)),
                rows: rows.len() as u64,
                lost: 0,
                is_last: has_stopped && number == 1,
            };
            let path = self.folder.path().join(declaration.key());
            std::fs::create_dir_all(path.parent().expect("a key has folders")).expect("a folder can be created");
            std::fs::write(path, write(rows, &declaration, &[]).expect("the rows are valid"))
                .expect("it can be written");
        }
    }

    /// Returns the options that name a window of all messages. It ends after the last one.
    fn window(&self) -> Vec<String> {
        let at = |micros: i64| {
            let seconds = (micros / 1_000_000).unsigned_abs();
            humantime(UNIX_EPOCH + Duration::from_secs(seconds))
        };
        let end = self.begin + (self.rows.len() as i64 + 5) * 1_000_000;
        vec![format!("--from={}", at(self.begin)), format!("--to={}", at(end))]
    }

    /// Returns the number of the objects of a replay's cursor.
    fn cursors(&self, name: &str) -> usize {
        std::fs::read_dir(self.folder.path().join("replays/v1").join(name)).map_or(0, Iterator::count)
    }
}

fn humantime(time: SystemTime) -> String {
    protobridge::base::time::rfc3339(time)
}

/// Runs the command with these options.
async fn replay(config: &Path, options: impl IntoIterator<Item = impl AsRef<str>>) -> Ended {
    let mut command = protobridge();
    command.arg("replay").arg("--config").arg(config);
    command.args(options.into_iter().map(|option| option.as_ref().to_owned()));
    tokio::task::spawn_blocking(move || command::run(&mut command, b"")).await.expect("it does not panic")
}

/// Runs the command on the whole archive with these further options.
async fn replay_all(archive: &Archive, config: &Path, options: &[&str]) -> Ended {
    let options = options.iter().map(|option| (*option).to_owned());
    replay(config, archive.window().into_iter().chain(options)).await
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn ids(events: &[Sample]) -> BTreeSet<&str> {
    events.iter().map(|event| &*event.event_id).collect()
}

fn ids_of(messages: &[Message]) -> BTreeSet<&str> {
    messages.iter().filter_map(|message| message.attribute("event-id")).collect()
}

/// Returns the rows of the result without the ids of messages, by customer, type and outcome.
fn rows(json: &Value) -> BTreeMap<String, (u64, u64)> {
    let row = |row: &Value| {
        let key = format!("{} {} {}", row["customer"], row["type"], row["outcome"]);
        (key, (row["count"].as_u64().expect("a number"), row["bytes"].as_u64().expect("a number")))
    };
    json["rows"].as_array().expect("the result has rows").iter().map(row).collect()
}

async fn a_dry_run_predicts_the_run_to_the_event(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let mut archive = Archive::of(&mut stage);
    let events = archive.fill(&mut stage, &["acme", "globex"], 30);
    let malformed = stage.samples.malformed(&["acme"]);
    archive.add(&stage, &malformed, OutcomeLabel::Quarantined);
    archive.store(true);
    let config = stage.write_files();

    let dry = replay_all(&archive, &config, &["--dry-run", "--json", "--name=again"]).await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    let predicted = json(&dry);
    assert_eq!(predicted["status"], "dry_run");
    assert_eq!(predicted["counts"]["published"], 30);
    assert_eq!(predicted["counts"]["quarantined"], 1, "left out");
    assert!(predicted["example"]["body"].is_object(), "{predicted}");
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(archive.cursors("again"), 0);

    let asked = replay_all(&archive, &config, &["--name=again"]).await;
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.stderr.contains("add --yes") && asked.stderr.contains("31 messages in the archive"), "{asked:?}");
    stage.assert_nothing_more_for("acme").await;

    let run = replay_all(&archive, &config, &["--yes", "--json", "--name=again", "--rate=1000"]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let done = json(&run);
    assert_eq!((&done["status"], rows(&done)), (&"done".into(), rows(&predicted)));
    assert_eq!(done["counts"], predicted["counts"]);
    let mut received = stage.delivered("acme", 15).await;
    received.extend(stage.delivered("globex", 15).await);
    assert_eq!(ids_of(&received), ids(&events));
    assert!(received.iter().all(|message| message.attribute("replay") == Some("again")), "{received:?}");

    // The name is taken, and the replay is done.
    let again = replay_all(&archive, &config, &["--yes", "--name=again"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("--resume again"), "{again:?}");
    let resumed = replay(&config, ["--resume=again"]).await;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let list = replay(&config, ["--list"]).await;
    assert!(list.stdout.contains("again  done"), "{list:?}");
    stage.assert_nothing_more_for("acme").await;

    // A replay with another name sends everything again, with what is in quarantine, which fails again.
    let options = ["--yes", "--quarantined", "--json", "--rate=1000", "--customer=acme", "--name=more"];
    let more = replay_all(&archive, &config, &options).await;
    assert_eq!(more.code, Some(1), "{more:?}");
    assert_eq!(json(&more)["counts"]["published"], 15);
    assert_eq!(json(&more)["counts"]["refused"]["malformed_protobuf"]["count"], 1);
    stage.delivered("acme", 15).await;
    stage.assert_nothing_more_for("globex").await;
}

async fn a_replay_that_is_interrupted_continues_without_a_repetition(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let mut archive = Archive::of(&mut stage);
    let events = archive.fill(&mut stage, &["acme"], 40);
    archive.store(true);
    let config = stage.write_files();
    let mut command = tokio::process::Command::from(protobridge());
    command.arg("replay").arg("--config").arg(&config).args(archive.window());
    command.args(["--yes", "--name=x", "--rate=20", "--step=2"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let child = child.expect("the command was built with the tests");
    wait::until("some events are sent", async || (stage.queue_of("acme").depth().await >= 4).then_some(())).await;
    interrupt(child.id().expect("the command runs"), "INT");
    let ended = child.wait_with_output().await.expect("the command ends");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("continue with `protobridge replay --resume x`"), "{stderr}");
    let sent = stage.queue_of("acme").depth().await;
    assert!((4..40).contains(&sent), "{sent}");
    assert!(archive.cursors("x") <= 2);

    let resumed = replay(&config, ["--resume=x", "--rate=1000", "--json"]).await;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(json(&resumed)["counts"]["published"], 40, "the counts are those of both processes");
    let received = stage.delivered("acme", 40).await;
    assert_eq!(ids_of(&received), ids(&events), "each event was sent once");
}

async fn a_replay_that_is_killed_is_not_taken_over_at_once(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let mut archive = Archive::of(&mut stage);
    archive.fill(&mut stage, &["acme"], 40);
    archive.store(true);
    let config = stage.write_files();
    let mut command = tokio::process::Command::from(protobridge());
    command.arg("replay").arg("--config").arg(&config).args(archive.window());
    command.args(["--yes", "--name=x", "--rate=5", "--step=1"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let mut child = child.expect("the command was built with the tests");
    wait::until("an event is sent", async || (stage.queue_of("acme").depth().await >= 1).then_some(())).await;
    child.kill().await.expect("the process can be killed");

    let resumed = replay(&config, ["--resume=x"]).await;
    assert_eq!(resumed.code, Some(1), "{resumed:?}");
    assert!(
        resumed.stderr.contains("the replay x runs on ") && resumed.stderr.contains("try again at "),
        "{resumed:?}"
    );
    let canceled = replay(&config, ["--cancel=x"]).await;
    assert_eq!(canceled.code, Some(0), "{canceled:?}");
    let resumed = replay(&config, ["--resume=x"]).await;
    assert_eq!(resumed.code, Some(1), "{resumed:?}");
    assert!(resumed.stderr.contains("the replay x was canceled"), "{resumed:?}");
    assert!(json(&replay(&config, ["--list", "--json"]).await)[0]["status"] == "canceled");
}

async fn unconfirmed_sends_exactly_what_the_journal_does_not_have(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let mut archive = Archive::of(&mut stage);
    let events = archive.fill(&mut stage, &["acme", "globex"], 60);
    archive.store(true);
    let config = stage.write_files();
    let of_acme: Vec<&Sample> = events.iter().filter(|event| event.customer.as_deref() == Some("acme")).collect();
    let first_type = of_acme[0].message_type.as_str();
    let confirmed: BTreeSet<&str> =
        of_acme.iter().filter(|event| event.message_type == first_type).map(|event| &*event.event_id).collect();
    let all: BTreeSet<&str> = of_acme.iter().map(|event| &*event.event_id).collect();
    assert!(!confirmed.is_empty() && confirmed.len() < all.len());

    // A replay of one type leaves rows in the journal.
    let options = ["--yes", "--json", "--customer=acme", "--rate=1000", "--name=first", "--type", first_type];
    let first = replay_all(&archive, &config, &options).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(ids_of(&stage.delivered("acme", confirmed.len()).await), confirmed);

    let options = ["--unconfirmed", "--json", "--customer=acme", "--rate=1000"];
    let predicted = replay_all(&archive, &config, &[&options[..], &["--dry-run"]].concat()).await;
    assert_eq!(json(&predicted)["counts"]["published"], all.len() - confirmed.len());
    assert_eq!(json(&predicted)["counts"]["had"], confirmed.len());
    let second = replay_all(&archive, &config, &[&options[..], &["--yes", "--name=second"]].concat()).await;
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.stderr.contains(&format!("the journal shows {} deliveries", confirmed.len())), "{second:?}");
    let received = stage.delivered("acme", all.len() - confirmed.len()).await;
    assert_eq!(ids_of(&received), &all - &confirmed, "exactly the missing ones");

    // Now the journal has them all. It has none of the other customer.
    let third = replay_all(&archive, &config, &[&options[..], &["--yes", "--name=third"]].concat()).await;
    assert_eq!((third.code, &json(&third)["counts"]["published"]), (Some(0), &0.into()), "{third:?}");
    stage.assert_nothing_more_for("acme").await;
    stage.assert_nothing_more_for("globex").await;
    let options = ["--unconfirmed", "--json", "--customer=globex", "--dry-run"];
    let other = replay_all(&archive, &config, &options).await;
    assert_eq!(json(&other)["counts"]["published"], 30, "{other:?}");

    let without = replay_all(&archive, &config, &["--unconfirmed", "--yes"]).await;
    assert_eq!(without.code, Some(2), "--unconfirmed requires a customer: {without:?}");
}

async fn events_of_a_group_keep_their_order(emulator: &Emulator) {
    const GROUPS: [&str; 3] = ["a", "b", "c"];
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let mut archive = Archive::of(&mut stage);
    let events = archive.fill(&mut stage, &["acme"], 60);
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (number, row) in archive.rows.iter_mut().enumerate() {
        let group = GROUPS[number * 7 % GROUPS.len()];
        let message = Arc::get_mut(&mut row.message).expect("the message has one owner");
        // Sequence numbers have different lengths. All were sent in the same second.
        message.group = Some(group.to_owned());
        message.sequence_number = Some((95 + number).to_string());
        message.sent = UNIX_EPOCH + Duration::from_micros(archive.begin.unsigned_abs());
        expected.entry(group).or_default().push(&events[number].event_id);
    }
    archive.store(true);
    let config = stage.write_files();
    for name in ["x", "y"] {
        let run = replay_all(&archive, &config, &["--yes", "--rate=1000", "--step=25", "--name", name]).await;
        assert_eq!(run.code, Some(0), "{run:?}");
        // A FIFO topic drops neither what the service published before nor another replay.
        let received = stage.delivered("acme", 60).await;
        for (group, expected) in &expected {
            let of_group = received.iter().filter(|message| message.group.as_deref() == Some(group));
            let ids: Vec<&str> = of_group.filter_map(|message| message.attribute("event-id")).collect();
            assert_eq!(&ids, expected, "the events of group {group} are in order");
        }
    }
}

async fn what_is_not_sent_makes_the_command_fail(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let mut archive = Archive::of(&mut stage);
    archive.fill(&mut stage, &["acme"], 10);
    archive.store(false);
    let config = stage.write_files();

    let run = replay_all(&archive, &config, &["--yes", "--rate=1000", "--name=x"]).await;
    assert_eq!(run.code, Some(1), "the archive has a gap: {run:?}");
    assert!(run.stderr.contains("gap in the archive: pod-a") && run.stdout.contains("replay x is done"), "{run:?}");
    stage.delivered("acme", 10).await;

    let run = replay_all(&archive, &config, &["--yes", "--type=x.*", "--name=y"]).await;
    assert_eq!(run.code, Some(1), "nothing matched: {run:?}");
    assert!(run.stderr.contains("nothing matched: 2 segments in file:///"), "{run:?}");
    assert!(run.stderr.contains("10 messages") && run.stderr.contains("only types x.*"), "{run:?}");
    let run = replay(&config, ["--from=30m", "--to=20m", "--yes", "--name=z"]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("nothing matched: 0 segments"), "{run:?}");
    stage.assert_nothing_more_for("acme").await;

    for (options, expected) in [
        (&["--from=1h", "--yes"][..], "name the window with --from and --to"),
        (&["--from=1h", "--to=2h", "--yes"], "--from must be before --to"),
        (&["--from=1h", "--to=2999-01-01", "--yes"], "--to is in the future"),
        (&["--resume=x", "--from=1h"], "cannot be used with"),
        (&["--list", "--cancel=x"], "cannot be used with"),
        (&["--from=1h", "--to=30m", "--name=a/b"], "letters, digits"),
        (&["--from=1h", "--to=30m", "--rate=0"], "a number from 0.01"),
    ] {
        let ended = replay(&config, options).await;
        assert!(ended.code == Some(2) && ended.stderr.contains(expected), "{options:?}: {ended:?}");
    }
    let ended = replay(&config, ["--from=1h", "--to=30m", "--queue=stag", "--yes"]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("there is no queue stag"), "{ended:?}");
    let ended = replay(&config, ["--resume=unknown"]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("--list"), "{ended:?}");
    stage.config.store.url = None;
    stage.config.archive.enabled = false;
    let ended = replay(&stage.write_files(), ["--from=1h", "--to=30m", "--yes"]).await;
    assert!(ended.code == Some(64) && ended.stderr.contains("store.url: is not set"), "{ended:?}");
}

fn interrupt(pid: u32, signal: &str) {
    let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -{signal} {pid}")).status();
    assert!(kill.expect("a shell can be started").success());
}
