//! The `protobridge` command.

fn main() {}
