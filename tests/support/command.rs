//! The `protobridge` command as a child process, isolated from the user's environment.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Returns the command with credentials for an emulator. It cannot find any other credentials.
pub(crate) fn protobridge() -> Command {
    let mut command = bare();
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// Returns the command without credentials.
pub(crate) fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_protobridge"));
    command.env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// The result of a command that has exited.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code, or `None` if a signal ended the command.
    pub(crate) code: Option<i32>,
    /// The standard output.
    pub(crate) stdout: String,
    /// The standard error.
    pub(crate) stderr: String,
}

/// Runs a command with this standard input and waits until it exits.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built with the tests");
    // Ignore a failed write: a command that does not read its input can exit before the write.
    let _closed = child.stdin.take().expect("the stream is piped").write_all(input);
    let output = child.wait_with_output().expect("the child process can be waited for");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("the output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("the output is UTF-8"),
    }
}
