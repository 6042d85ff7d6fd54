//! Compiles the committed descriptor sets from their `.proto` files, in memory.
//!
//! The same sources always give the same bytes, so a set on disk is up to date exactly if it equals what comes out
//! here. Nothing is written: `examples/compile-descriptors.rs` does that, and a test compares.

use std::fs;
use std::path::{Path, PathBuf};

use protox::Compiler;
use protox::file::FileMetadata;
use protox::prost_reflect::DescriptorPool;

/// The command that brings the committed sets up to date.
pub(crate) const REBUILD: &str = "cargo run --example compile-descriptors";

/// A committed set, and the sources it is made of. Paths are relative to the root of the repository.
struct Recipe {
    set: &'static str,
    /// What imports are relative to.
    include: &'static str,
    /// Every `.proto` below here is in the set.
    sources: &'static str,
}

const RECIPES: [Recipe; 2] = [
    Recipe { set: "descriptors/protobridge.binpb", include: "proto", sources: "proto/protobridge" },
    Recipe { set: "descriptors/shop.binpb", include: "proto/examples", sources: "proto/examples" },
];

/// A descriptor set as it should be on disk.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Where it belongs, relative to the root of the repository, with `/` on every platform.
    pub(crate) path: &'static str,
    /// The encoded `FileDescriptorSet`, with imports and source info.
    pub(crate) bytes: Vec<u8>,
    /// How many message types its own files define, nested ones included.
    pub(crate) message_types: usize,
}

impl Compiled {
    /// Whether the file below `root` is missing or holds anything else than these bytes.
    pub(crate) fn is_stale(&self, root: &Path) -> bool {
        !fs::read(root.join(self.path)).is_ok_and(|on_disk| on_disk == self.bytes)
    }
}

/// Compiles every committed set of the repository at `root`.
///
/// # Errors
///
/// The compiler's message, with the place in the `.proto` file, if a source does not compile; the path if one cannot
/// be read, or if a set would be empty.
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
    // Unlike `{}`, `{:?}` says where the mistake is: file, line and column.
    compiler.open_files(&sources).map_err(|error| format!("{error:?}"))?;

    let own: Vec<&str> = compiler.files().filter(|file| !file.is_import()).map(FileMetadata::name).collect();
    Ok(Compiled {
        path: recipe.set,
        bytes: compiler.encode_file_descriptor_set(),
        message_types: count_messages(&compiler.descriptor_pool(), &own),
    })
}

/// Every `.proto` below `dir`, sorted: the order of the files in a set follows the order they are compiled in.
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
