//! Compiles descriptor sets from the text of a schema.

use prost::Message as _;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "test.proto" { File::from_source(name, &self.0) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// Returns the set of one proto3 file in the package `t`.
pub(crate) fn proto3(body: &str) -> Vec<u8> {
    let source = Source(format!("syntax = \"proto3\"; package t; {body}"));
    let mut resolver = ChainFileResolver::new();
    resolver.add(source);
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true).open_file("test.proto").unwrap();
    compiler.file_descriptor_set().encode_to_vec()
}
