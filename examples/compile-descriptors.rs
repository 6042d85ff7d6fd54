//! Compiles the `.proto` files of this repository into the committed descriptor sets, in `descriptors/` and in examples.
//!
//! ```text
//! cargo run --example compile-descriptors              write the sets
//! cargo run --example compile-descriptors -- --check   write nothing; exit 1 if a set is out of date
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use descriptors::Compiled;

#[path = "../tests/support/descriptors.rs"]
mod descriptors;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let check = match arguments[..] {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!("usage: {} [-- --check]", descriptors::REBUILD);
            return ExitCode::from(2);
        }
    };

    let done =
        descriptors::compile(root).and_then(|sets| if check { check_all(root, &sets) } else { write_all(root, &sets) });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(root: &Path, sets: &[Compiled]) -> Result<(), String> {
    for set in sets {
        fs::write(root.join(set.path), &set.bytes).map_err(|error| format!("cannot write {}: {error}", set.path))?;
        println!("wrote {}: {} bytes, {} message types", set.path, set.bytes.len(), set.message_types);
    }
    Ok(())
}

fn check_all(root: &Path, sets: &[Compiled]) -> Result<(), String> {
    let stale: Vec<&str> = sets.iter().filter(|set| set.is_stale(root)).map(|set| set.path).collect();
    if !stale.is_empty() {
        return Err(format!("out of date: {}; rebuild with `{}`", stale.join(", "), descriptors::REBUILD));
    }
    for set in sets {
        println!("{} is up to date", set.path);
    }
    Ok(())
}
