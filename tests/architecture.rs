//! Checks the layers of `src/`: each layer uses only the layers before it, and no two modules use each other.
//!
//! The order of the layers is the order of the `pub mod` lines in `src/lib.rs`, so that the list which a reader sees is the
//! list that is enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by its path from the crate root, for example `["aws", "sqs", "delete"]`.
type Module = Vec<String>;

/// The modules of the crate, and which module uses which.
struct Imports {
    /// The edges, each with a file that has it.
    edges: BTreeMap<(Module, Module), PathBuf>,
}

#[test]
fn each_layer_uses_only_the_layers_before_it() {
    let layers = layers(&fs::read_to_string(source().join("lib.rs")).unwrap());
    assert!((8..=14).contains(&layers.len()), "src/lib.rs lists {layers:?}");
    let wrong = wrong_edges(&layers, &Imports::read(&source()));
    assert!(wrong.is_empty(), "a layer uses a layer below it:\n{}", wrong.join("\n"));
}

#[test]
fn no_two_modules_use_each_other() {
    let circles = circles(&Imports::read(&source()));
    assert!(circles.is_empty(), "modules use each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn sns_and_sqs_do_not_know_each_other() {
    let imports = Imports::read(&source());
    let is_in = |module: &Module, name: &str| module.len() > 1 && module[0] == "aws" && module[1] == name;
    let crossing: Vec<_> = imports
        .edges
        .keys()
        .filter(|(from, to)| is_in(from, "sns") && is_in(to, "sqs") || is_in(from, "sqs") && is_in(to, "sns"))
        .collect();
    assert!(crossing.is_empty(), "{crossing:?}");
}

#[test]
fn the_documents_list_the_layers_in_order() {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let layers = layers(&lib);
    let in_docs: Vec<&str> =
        lib.lines().filter_map(|line| line.split_once(". [`")?.1.split_once('`').map(|(name, _)| name)).collect();
    assert_eq!(in_docs, layers, "the documentation of src/lib.rs");
    let page = architecture();
    let table = page.split("\n## Layers\n").nth(1).expect("ARCHITECTURE.md has a section Layers");
    let table = table.split("\n### ").next().unwrap();
    let in_page: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("/`").map(|(name, _)| name)).collect();
    assert_eq!(in_page, layers, "the table in ARCHITECTURE.md");
}

#[test]
fn architecture_md_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = architecture();
    let is_path = |text: &&str| text.contains('/') && text.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c));
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_path).collect();
    assert!(named.len() > 60, "ARCHITECTURE.md names {} files", named.len());
    let exists = |path: &str| root.join(path).exists() || source().join(path).exists();
    // Parts that are still to come, and addresses of the admin endpoint.
    let is_other = |path: &str| path.starts_with('/') || ["store/archive/", "webhooks/"].contains(&path);
    let in_layer = |path: &str| page_layers().iter().any(|layer| source().join(layer).join(path).exists());
    let missing: Vec<&&str> = named.iter().filter(|path| !is_other(path) && !exists(path) && !in_layer(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A log line about a message is written by `log_about`, which adds the event. A macro of `tracing` must not name the
/// message itself.
#[test]
fn a_line_about_a_message_has_the_common_fields() {
    let mut checked = 0;
    for file in files(&source(), &source()).iter().filter(|file| !is_for_tests(&module(file))) {
        let text = fs::read_to_string(source().join(file)).expect("source files are readable");
        for level in ["trace", "debug", "info", "warn", "error"] {
            for (start, call) in text.match_indices(&format!("{level}!(")) {
                let is_whole_name = !text[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_');
                let arguments = text[start + call.len()..].split(");").next().unwrap_or_default();
                let mut words = arguments.split(|c: char| !c.is_alphanumeric() && c != '_');
                checked += 1;
                assert!(
                    !is_whole_name || words.all(|word| word != "message_id"),
                    "{}: use log_about for this line: {level}!({arguments}",
                    file.display()
                );
            }
        }
    }
    assert!(checked > 50, "only {checked} lines of the log were found");
}

fn architecture() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md"))
        .expect("ARCHITECTURE.md is readable")
}

fn page_layers() -> Vec<String> {
    layers(&fs::read_to_string(source().join("lib.rs")).expect("src/lib.rs is readable"))
}

#[test]
fn a_wrong_edge_and_a_circle_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod first;\npub mod second;\n");
    write(
        "first.rs",
        "mod leaf;\nuse crate::second::{Thing, other};\n#[cfg(test)]\nmod tests { use crate::second; }\n",
    );
    write("first/leaf.rs", "//! Not an import: `use crate::second`.\nfn f() { crate::second::run() }\n");
    write("first/tests.rs", "use crate::second;\n");
    write("second.rs", "mod one;\nmod two;\n");
    write("second/one.rs", "use super::two::Two;\nuse crate::{first::leaf, second::two};\n");
    write("second/two.rs", "use crate::second::one;\n");
    let imports = Imports::read(folder.path());
    let layers = layers("pub mod first;\npub mod second;\n");
    let wrong = wrong_edges(&layers, &imports);
    assert_eq!(wrong, ["first (first.rs) uses second", "first::leaf (first/leaf.rs) uses second"], "{wrong:#?}");
    assert_eq!(circles(&imports), ["second::one -> second::two -> second::one"]);
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the top-level modules in the order of their `pub mod` lines.
fn layers(lib: &str) -> Vec<String> {
    lib.lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned())).collect()
}

/// Returns the edges from a layer to a later layer.
fn wrong_edges(layers: &[String], imports: &Imports) -> Vec<String> {
    let rank = |module: &Module| layers.iter().position(|layer| *layer == module[0]);
    let wrong = imports.edges.iter().filter(|((from, to), _)| match (rank(from), rank(to)) {
        (Some(from), Some(to)) => from < to,
        // `main.rs` uses the library; nothing uses a module that `lib.rs` does not list.
        _ => true,
    });
    let describe = |((from, to), file): (&(Module, Module), &PathBuf)| {
        format!("{} ({}) uses {}", from.join("::"), file.display(), to.join("::"))
    };
    wrong.map(describe).collect()
}

/// Returns the circles among modules, each once. A module and the modules inside it count as one where the outer one is
/// only their frame: an edge between a module and its own parent or child is not part of a circle.
fn circles(imports: &Imports) -> Vec<String> {
    let is_family = |from: &Module, to: &Module| from.starts_with(to) || to.starts_with(from);
    let mut uses: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    for (from, to) in imports.edges.keys().filter(|(from, to)| !is_family(from, to)) {
        uses.entry(from).or_default().push(to);
    }
    let mut found = BTreeSet::new();
    for start in uses.keys() {
        let mut path = vec![*start];
        let mut visited = BTreeSet::new();
        if let Some(circle) = search(start, &uses, &mut path, &mut visited) {
            // A circle is found from each of its modules; the one that begins with the smallest is kept.
            if circle.iter().min() == Some(&circle[0]) {
                let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
                found.insert(format!("{} -> {}", names.join(" -> "), names[0]));
            }
        }
    }
    found.into_iter().collect()
}

/// Returns a path from `start` back to it.
fn search<'m>(
    start: &'m Module,
    uses: &BTreeMap<&'m Module, Vec<&'m Module>>,
    path: &mut Vec<&'m Module>,
    visited: &mut BTreeSet<&'m Module>,
) -> Option<Vec<&'m Module>> {
    for next in uses.get(path.last()?).into_iter().flatten() {
        if *next == start {
            return Some(path.clone());
        }
        if visited.insert(next) {
            path.push(next);
            if let Some(circle) = search(start, uses, path, visited) {
                return Some(circle);
            }
            path.pop();
        }
    }
    None
}

impl Imports {
    /// Reads the imports of all files below `source`. Code for tests is left out: it may build what it needs.
    fn read(source: &Path) -> Self {
        let files = files(source, source);
        let modules: BTreeSet<Module> = files.iter().map(|file| module(file)).collect();
        let mut edges = BTreeMap::new();
        for file in &files {
            let from = module(file);
            if from.is_empty() || is_for_tests(&from) {
                continue;
            }
            let text = fs::read_to_string(source.join(file)).expect("source files are readable");
            for path in paths(&without_tests(&text), &from) {
                // The longest part of the path that is a module; the rest names an item in it.
                let to = (1..=path.len()).rev().map(|len| path[..len].to_vec()).find(|part| modules.contains(part));
                if let Some(to) = to.filter(|to| *to != from) {
                    edges.entry((from.clone(), to)).or_insert_with(|| file.clone());
                }
            }
        }
        Self { edges }
    }
}

/// Returns all Rust files below `folder`, relative to `source`.
fn files(source: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            found.append(&mut files(source, &path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(source).expect("the path is below src/").to_owned());
        }
    }
    found.sort();
    found
}

/// Returns the module of a file; the crate root for `lib.rs` and `main.rs`.
fn module(file: &Path) -> Module {
    let parts: Module = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.len() == 1 && ["lib", "main"].contains(&parts[0].as_str()) { Vec::new() } else { parts }
}

fn is_for_tests(module: &Module) -> bool {
    module.iter().any(|part| part == "tests") || module.last().is_some_and(|part| part == "scripted")
}

/// Returns the text without comments and without what follows the first `#[cfg(test)]` on a module with a body.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the paths that begin with `crate::` or `super::` in a file of `module`, as paths from the crate root. Groups in
/// braces are taken apart.
fn paths(text: &str, module: &Module) -> Vec<Module> {
    let mut found = Vec::new();
    for (prefix, root) in [("crate::", Vec::new()), ("super::", module[..module.len() - 1].to_vec())] {
        for (at, _) in text.match_indices(prefix) {
            let is_word = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
            if !is_word {
                expand(&text[at + prefix.len()..], &root, &mut found);
            }
        }
    }
    found
}

/// Reads one path, or a group of paths in braces, at the beginning of `text`. Returns the rest of the text.
fn expand<'t>(text: &'t str, before: &Module, found: &mut Vec<Module>) -> &'t str {
    let mut path = before.clone();
    let mut rest = text.trim_start();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group;
            loop {
                rest = expand(rest, &path, found).trim_start();
                match rest.strip_prefix(',') {
                    Some(more) => rest = more.trim_start(),
                    None => return rest.strip_prefix('}').unwrap_or(rest),
                }
                if let Some(end) = rest.strip_prefix('}') {
                    return end;
                }
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name == "super" {
            path.pop();
        } else if name != "self" && !name.is_empty() {
            path.push(name.to_owned());
        }
        match after.strip_prefix("::") {
            Some(more) => rest = more,
            None => {
                found.push(path);
                return after
                    .strip_prefix(" as ")
                    .map_or(after, |alias| alias.trim_start_matches(char::is_alphanumeric));
            }
        }
    }
}
