//! Compiles the text of a schema into a descriptor set.

use protox::Compiler;
use protox::file::{File, FileResolver};

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        File::from_source(name, &self.0)
    }
}

/// Compiles one `.proto` file with this text.
pub(crate) fn compile(text: &str) -> Vec<u8> {
    let mut compiler = Compiler::with_file_resolver(Source(text.to_owned()));
    compiler.open_file("source.proto").expect("the schema compiles");
    compiler.encode_file_descriptor_set()
}
