//! `protobridge demo` on a terminal, in a pager, and on fixed ports.

use std::net::{Ipv4Addr, TcpListener};

use serde::Deserialize;

use crate::command::{Ended, bare, run};
use crate::python::Python;

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
