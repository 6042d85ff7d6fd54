//! `protobridge demo` on a terminal, in a pager, on fixed ports, and with a store that other processes use; the states of
//! its two sources.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;

use crate::command::{Ended, bare, run};
use crate::python::Python;
use crate::wait;

/// The output of a command that ran on a terminal of 80 columns.
#[derive(Debug, Deserialize)]
struct Shown {
    terminal: String,
    /// The standard output, if it was a pipe.
    pipe: String,
    code: i32,
}

/// Runs the demo on a terminal. In the mode `pager`, its standard output is a pipe.
fn demo_on_terminal(mode: &str) -> Option<Shown> {
    let mut command = Python::get()?.script("terminal.py");
    command.args([mode, env!("CARGO_BIN_EXE_protobridge"), "demo", "--events", "60", "--rate", "100"]);
    let Ended { stdout, stderr, .. } = run(&mut command, b"");
    Some(serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}")))
}

/// Returns the text without the escape sequences of a terminal. What follows cleared counters begins a line.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let text = text.replace("\r\x1b[K", "\n");
    let mut rest = &*text;
    while let Some((before, escape)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = escape.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    plain + rest
}

#[test]
fn a_terminal_shows_each_event_in_one_line_and_the_admin_address_in_the_last() {
    let Some(Shown { terminal, code, .. }) = demo_on_terminal("terminal") else { return };
    assert_eq!(code, 0, "{terminal}");
    let plain = plain(&terminal);
    let events: Vec<&str> = plain.lines().filter(|line| line.starts_with("acme ") && line.contains(" {")).collect();
    assert!(events.len() > 10, "{plain}");
    for line in events {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(line.ends_with('…'), "{line}");
    }
    let address = plain.lines().find_map(|line| line.strip_prefix("admin endpoint  ")).expect("it shows the address");
    assert!(plain.contains(&format!("\n{address}  ")), "{plain}");
}

#[test]
fn a_pager_shows_everything_and_the_terminal_nothing_else() {
    let Some(Shown { terminal, pipe, code }) = demo_on_terminal("pager") else { return };
    assert_eq!((code, &*terminal), (0, ""));
    assert!(!pipe.contains('\x1b'), "{pipe}");
    assert!(pipe.contains("admin endpoint  "), "{pipe}");
    let is_whole = |line: &str| line.starts_with("acme ") && line.contains(" {") && line.ends_with('}');
    assert!(pipe.lines().filter(|line| is_whole(line)).count() > 10, "{pipe}");
}

#[test]
fn a_flag_fixes_the_ports() {
    let listen = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    // The demo takes the port and the next one.
    let (first, second) = std::iter::repeat_with(|| listen(0).expect("a port is free"))
        .find_map(|first| {
            let next = first.local_addr().ok()?.port().checked_add(1)?;
            Some((first, listen(next).ok()?))
        })
        .expect("two ports in a row are free");
    let port = first.local_addr().expect("it listens").port();
    drop(second);
    let demo = |port: u16| run(bare().args(["demo", "--events", "1", "--port", &port.to_string()]), b"");
    let Ended { code, stderr, .. } = demo(port);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("--port {port}: SQS and SNS cannot listen on 127.0.0.1:{port}")), "{stderr}");

    drop(first);
    let Ended { code, stderr, .. } = demo(port);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains(&format!("SQS and SNS     http://127.0.0.1:{port}\n")), "{stderr}");
    assert!(stderr.contains(&format!("admin endpoint  http://127.0.0.1:{}\n", port + 1)), "{stderr}");
}

/// Returns the cells of a row of the table of sources: its name, state, heartbeats, age, and the times of its states.
fn row_of_source<'t>(stdout: &'t str, name: &str) -> Vec<&'t str> {
    let table = stdout.split_once("\nSources\n").expect("the demo prints the table of its sources").1;
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| row[..1] == [name]);
    row.unwrap_or_else(|| panic!("{name} is not in the table:\n{stdout}"))
}

#[test]
fn one_source_of_the_demo_falls_quiet_and_then_stale_and_the_other_one_flows() {
    let Ended { code, stdout, stderr } = run(bare().args(["demo", "--events", "500", "--rate", "100"]), b"");
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("All counts agree"), "{stdout}{stderr}");

    let printed = |name: &str| -> Vec<String> {
        let lines = stdout.lines().filter_map(|line| line.strip_prefix("source  ")?.trim_start().strip_prefix(name));
        lines.map(|line| line.trim_start().split_once(':').expect("the line has a state").0.to_owned()).collect()
    };
    assert_eq!(printed("shop-backend"), ["flowing"], "{stdout}");
    let mut states = printed("shop-db-eu-1");
    // The service judges a moment later if it is slow: it must prove first that a heartbeat is missing.
    states.retain(|state| state != "late");
    assert_eq!(states, ["flowing", "quiet", "stale"], "{stdout}");

    let backend = row_of_source(&stdout, "shop-backend");
    assert_eq!((backend[1], &backend[5..]), ("flowing", &["-", "-"][..]), "{stdout}");
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text} is no number:\n{stdout}"));
    // A heartbeat is due every two seconds, until the end.
    assert!(number(backend[3]) < 2.5, "{stdout}");
    let database = row_of_source(&stdout, "shop-db-eu-1");
    let times: Vec<f64> = database[2..].iter().copied().map(number).collect();
    let [heartbeats, age, flowing, quiet, stale] = times[..] else { panic!("{database:?}") };
    assert_eq!(database[1], "stale", "{stdout}");
    assert!(flowing < quiet && quiet < stale && age >= 2.0, "{stdout}");
    // Heartbeats went on while the source was quiet.
    assert!(heartbeats > 2.0 && stale - age > quiet - 2.0, "{stdout}");

    // The ledger has the heartbeats of both sources: one kind is published, the other kind is filtered.
    let row = stdout.lines().find_map(|line| line.trim_start().strip_prefix("heartbeats ")).expect("it has a row");
    let counts: Vec<f64> = row.split_whitespace().map(number).collect();
    let of_backend = number(backend[2]);
    assert_eq!(counts, [of_backend + heartbeats, of_backend, heartbeats, 0.0], "{stdout}");
}

#[test]
fn a_quiet_demo_shows_the_sources_in_the_table_only() {
    let Ended { code, stdout, stderr } = run(bare().args(["demo", "--events", "100", "--rate", "100", "--quiet"]), b"");
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.lines().all(|line| !line.starts_with("source  ")), "{stdout}");
    assert_eq!(row_of_source(&stdout, "shop-backend")[1], "flowing", "{stdout}");
}

/// A demo that keeps its store in a folder and runs until Ctrl-C. It is killed with the value.
struct Demo {
    process: std::process::Child,
    folder: tempfile::TempDir,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let mut command = bare();
        command.args(["demo", "--quiet", "--rate", "100", "--store"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { process: command.spawn().expect("the command was built with the tests"), folder }
    }

    /// Runs a command with the configuration of the demo.
    fn with(&self, arguments: &str) -> Ended {
        let mut command = bare();
        command.env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo");
        command.args(arguments.split_whitespace()).arg("--config").arg(self.folder.path().join("protobridge.yaml"));
        run(&mut command, b"")
    }

    /// Repeats a command until its JSON is as wanted, and returns that.
    async fn until(&self, arguments: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let ask = async || serde_json::from_str(&self.with(arguments).stdout).ok().filter(&is_wanted);
        wait::until(arguments, ask).await
    }

    /// Ends the demo with Ctrl-C. Returns its standard output and its exit code.
    fn stop(mut self) -> (String, Option<i32>) {
        let pid = self.process.id();
        let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -INT {pid}")).status();
        assert!(kill.expect("a shell can be started").success());
        let mut stdout = String::new();
        let mut pipe = self.process.stdout.take().expect("it is a pipe");
        pipe.read_to_string(&mut stdout).expect("the demo writes text");
        (stdout, self.process.wait().expect("the demo ends").code())
    }
}

#[tokio::test]
async fn another_process_replays_the_events_of_a_demo_with_a_store() {
    let demo = Demo::start();
    let has_acme = |json: &Value| json["counts"]["published"].as_u64() > Some(20);
    demo.until("replay --json --from 1h --to 1s --customer acme --dry-run", has_acme).await;
    let replay = demo.with("replay --json --from 1h --to 1s --customer acme --rate 1000 --name again --yes");
    let counts: Value = serde_json::from_str(&replay.stdout).expect("the summary is JSON");
    let published = counts["counts"]["published"].as_u64().expect("it is a number");
    assert!(published > 20, "{replay:?}");

    let (stdout, code) = demo.stop();
    assert!(stdout.contains(&format!("\n{published} more deliveries came from replays\n")), "{published}: {stdout}");
    assert!(code == Some(0) && stdout.contains("All counts agree"), "{stdout}");
}

#[tokio::test]
async fn another_process_takes_messages_of_a_demo_with_a_store_from_quarantine() {
    let demo = Demo::start();
    let has_rows = |json: &Value| json["rows"].as_array().is_some_and(|rows| !rows.is_empty());
    demo.until("quarantine list --json", has_rows).await;
    let discarded = demo.with("redrive --json --discard --yes");
    let report: Value = serde_json::from_str(&discarded.stdout).expect("the report is JSON");
    let left: u64 = report["rows"].as_array().expect("it has rows").iter().filter_map(|row| row["left"].as_u64()).sum();
    assert!(left > 0, "{discarded:?}");

    let (stdout, code) = demo.stop();
    let text = format!("The counts are not compared: {left} messages left quarantine while the demo ran.");
    assert!(code == Some(0) && stdout.contains(&text), "{left}: {stdout}");
}
