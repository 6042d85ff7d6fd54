//! Generates the files that the benches need from the schema of the corpus: the descriptor set for the dynamic
//! transcoders, and the Rust code of prost and pbjson.
//!
//! Run this program after a change of `corpus.proto` or with newer generators:
//!
//! ```sh
//! cargo run --target-dir target --manifest-path crates/protojson/benches/generate/Cargo.toml
//! ```

use std::error::Error;
use std::path::Path;

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let benches = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let corpus = benches.join("../corpus");
    let set = protox::compile(["corpus.proto"], [corpus.join("proto")])?;
    let encoded = set.encode_to_vec();
    std::fs::write(corpus.join("corpus.binpb"), &encoded)?;

    let generated = benches.join("generated");
    prost_build::Config::new()
        // pbjson-types provides the well-known types with their JSON forms.
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .out_dir(&generated)
        .compile_fds(set)?;
    pbjson_build::Builder::new().register_descriptors(&encoded)?.out_dir(&generated).build(&[".bench"])?;
    Ok(())
}
