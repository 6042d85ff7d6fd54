//! Descriptor sets out of the text of a schema.

use protox::Compiler;
use protox::file::{File, FileResolver};

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        File::from_source(name, &self.0)
    }
}

/// The set of one file with this text.
pub(crate) fn compile(text: &str) -> Vec<u8> {
    let mut compiler = Compiler::with_file_resolver(Source(text.to_owned()));
    compiler.open_file("source.proto").expect("it compiles");
    compiler.encode_file_descriptor_set()
}
