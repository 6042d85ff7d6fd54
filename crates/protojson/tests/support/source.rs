//! Compiles descriptor sets from the text of schemas.

use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// The texts of files by their names.
struct Sources(Vec<(String, String)>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Returns the set of one file and its imports.
pub(crate) fn set(root: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(files.collect()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true).open_file(root).unwrap();
    // `compiler.file_descriptor_set()` would lose the options that prost does not know, such as `debug_redact`.
    compiler.encode_file_descriptor_set()
}

/// Returns the set of one proto3 file in the package `t`.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn proto3(body: &str) -> Vec<u8> {
    set("test.proto", &[("test.proto", &format!("syntax = \"proto3\"; package t; {body}"))])
}

/// Returns the set of one proto2 file in the package `t`.
#[allow(dead_code, reason = "not every test uses it")]
pub(crate) fn proto2(body: &str) -> Vec<u8> {
    set("test.proto", &[("test.proto", &format!("syntax = \"proto2\"; package t; {body}"))])
}
