//! The `protobridge` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    protobridge::cli::main()
}
