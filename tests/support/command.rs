//! The `protobridge` command as a child process, in an environment that holds nothing of the user's.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The command, with credentials that an emulator takes and no way to others.
pub(crate) fn protobridge() -> Command {
    let mut command = bare();
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// The command without credentials.
pub(crate) fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_protobridge"));
    command.env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// Runs a command to its end, with this on its standard input.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built with the tests");
    // A command that does not read its input may have ended before it could be written.
    let _closed = child.stdin.take().expect("it is piped").write_all(input);
    let output = child.wait_with_output().expect("it is our child");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("output is text"),
        stderr: String::from_utf8(output.stderr).expect("output is text"),
    }
}
