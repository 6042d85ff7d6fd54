//! `protobridge config`: what the configuration file may contain, for editors and for people.

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
    /// Every key with its description, its bounds and its default. Editors complete and check the file with it.
    Schema,
    /// Print an annotated example of the configuration file
    ///
    /// Every key with its default and its unit. Save it as protobridge.yaml and put in your queue.
    Example,
}

/// Prints what was asked for.
///
/// # Errors
///
/// The output cannot be written. A reader that has seen enough, such as `head`, is no error.
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

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        assert!(print("text", Refusing(io::ErrorKind::BrokenPipe)).is_ok());
        assert!(print("text", Refusing(io::ErrorKind::StorageFull)).is_err());
    }

    #[test]
    fn the_schema_is_json_and_the_example_is_the_file() {
        let mut out = Vec::new();
        print(&text(&Command::Schema), &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), json_schema());
        assert_eq!(text(&Command::Example), EXAMPLE);
    }
}
