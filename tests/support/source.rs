//! Compiles the text of schemas into descriptor sets.

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

/// Compiles one `.proto` file with this text.
pub(crate) fn compile(text: &str) -> Vec<u8> {
    compile_files(&[("source.proto", text)])
}

/// Compiles the first of these files with its imports. Each file is a name and a text.
pub(crate) fn compile_files(files: &[(&str, &str)]) -> Vec<u8> {
    let sources = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(sources.collect()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(files[0].0).expect("the schema compiles");
    compiler.encode_file_descriptor_set()
}
