//! `protobridge config`: describes the configuration file, as a JSON Schema for editors and as an example for people.

use std::io::{self, Write};

use crate::config::{EXAMPLE, json_schema};

/// Arguments of `protobridge config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the JSON Schema of the configuration file
    ///
    /// The schema lists every key with its description, bounds and default. Editors use it to complete and check the
    /// file.
    Schema,
    /// Print an annotated example of the configuration file
    ///
    /// The example lists every key with its default and unit. Save it as protobridge.yaml, then fill in the URL of your
    /// queue.
    Example,
}

/// Prints the schema or the example.
///
/// # Errors
///
/// Returns an error if standard output cannot be written. A closed pipe is not an error: a reader such as `head` stops
/// early.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    Ok(print(&text(&args.command), io::stdout().lock())?)
}

fn text(command: &Command) -> String {
    match command {
        Command::Schema => format!("{:#}\n", json_schema()),
        Command::Example => EXAMPLE.to_owned(),
    }
}

fn print(text: &str, mut out: impl Write) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FailingWriter(io::ErrorKind);

    impl Write for FailingWriter {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_not_an_error_but_a_full_disk_is() {
        assert!(print("text", FailingWriter(io::ErrorKind::BrokenPipe)).is_ok());
        assert!(print("text", FailingWriter(io::ErrorKind::StorageFull)).is_err());
    }

    #[test]
    fn the_schema_is_printed_as_json_and_the_example_unchanged() {
        let mut out = Vec::new();
        print(&text(&Command::Schema), &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), json_schema());
        assert_eq!(text(&Command::Example), EXAMPLE);
    }
}
