//! Compiles the committed descriptor sets from their `.proto` files, in memory.
//!
//! The same sources always give the same bytes, so a set on disk is up to date if and only if it equals the compiled
//! one. This module writes nothing: `examples/compile-descriptors.rs` writes the sets, and a test compares them.

use std::fs;
use std::path::{Path, PathBuf};

use protox::Compiler;
use protox::file::FileMetadata;
use protox::prost_reflect::DescriptorPool;

/// The command that updates the committed sets.
pub(crate) const REBUILD: &str = "cargo run --example compile-descriptors";

/// A committed set and its sources. Paths are relative to the root of the repository.
struct Recipe {
    set: &'static str,
    /// The folder that imports are relative to.
    include: &'static str,
    /// The folder whose `.proto` files, including those in subfolders, make up the set.
    sources: &'static str,
}

const RECIPES: [Recipe; 3] = [
    Recipe { set: "descriptors/protobridge.binpb", include: "proto", sources: "proto/protobridge" },
    Recipe { set: "descriptors/shop.binpb", include: "proto/examples", sources: "proto/examples" },
    Recipe {
        set: "examples/postgresql/descriptors/warehouse.binpb",
        include: "examples/postgresql/proto",
        sources: "examples/postgresql/proto",
    },
];

/// A compiled descriptor set, as it should be on disk.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The path of the set, relative to the root of the repository, with `/` on every platform.
    pub(crate) path: &'static str,
    /// The encoded `FileDescriptorSet`, with imports and source info.
    pub(crate) bytes: Vec<u8>,
    /// The number of message types that the set's own files define, including nested ones.
    pub(crate) message_types: usize,
}

impl Compiled {
    /// Whether the file below `root` is missing or differs from the compiled set.
    pub(crate) fn is_stale(&self, root: &Path) -> bool {
        !fs::read(root.join(self.path)).is_ok_and(|on_disk| on_disk == self.bytes)
    }
}

/// Compiles every committed set of the repository at `root`.
///
/// # Errors
///
/// Returns an error if a source cannot be read or does not compile, or if a set would be empty. The error names the
/// path, or the place in the `.proto` file.
pub(crate) fn compile(root: &Path) -> Result<Vec<Compiled>, String> {
    RECIPES.iter().map(|recipe| compile_one(root, recipe)).collect()
}

fn compile_one(root: &Path, recipe: &Recipe) -> Result<Compiled, String> {
    let sources = proto_files(&root.join(recipe.sources))?;
    if sources.is_empty() {
        return Err(format!("no .proto files below {}", recipe.sources));
    }

    let mut compiler = Compiler::new([root.join(recipe.include)]).map_err(|error| error.to_string())?;
    compiler.include_imports(true).include_source_info(true);
    // Unlike `{}`, `{:?}` includes the file, line and column of the mistake.
    compiler.open_files(&sources).map_err(|error| format!("{error:?}"))?;

    let own: Vec<&str> = compiler.files().filter(|file| !file.is_import()).map(FileMetadata::name).collect();
    Ok(Compiled {
        path: recipe.set,
        bytes: compiler.encode_file_descriptor_set(),
        message_types: count_messages(&compiler.descriptor_pool(), &own),
    })
}

/// Returns every `.proto` file below `dir`, sorted, because the order of compilation decides the order in the set.
fn proto_files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot_read = |error: std::io::Error| format!("cannot read {}: {error}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn count_messages(pool: &DescriptorPool, own_files: &[&str]) -> usize {
    pool.all_messages()
        .filter(|message| !message.is_map_entry())
        .filter(|message| own_files.contains(&message.parent_file().name()))
        .count()
}
