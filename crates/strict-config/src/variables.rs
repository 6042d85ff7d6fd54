//! Environment variables that override keys.
//!
//! A name is resolved by walking the shape, because `_` separates sections and also occurs in keys.

mod files;
mod kubernetes;
mod resolve;

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use crate::nearest::nearest;
use crate::placeholder;
use crate::problem::{Problem, Source};
use crate::shape::{Field, Shape};
use crate::tree::{Node, key_of};
use files::FILE;
use resolve::{Target, has_variable, in_variables, read, resolve, set};

/// Environment variables whose values replace those of the document.
///
/// Each scalar key and each list of texts has a variable. Its name is the prefix and the key's path in upper case,
/// joined with `_`: with the prefix `SHOP_`, the variable of `door.width_mm` is `SHOP_DOOR_WIDTH_MM`, and that of
/// `shelves[0].name` is `SHOP_SHELVES_0_NAME`. A type must not have two keys whose variables have the same name;
/// [`of`](Self::of) lists the names for a test.
///
/// - A number or a boolean is spelled as in the document. Commas separate the items of a list.
/// - An empty value empties a list, and unsets a key that can be absent.
/// - The index after the last item of a list appends an item.
/// - A key of a map is in lower case, unless the document spells it differently.
/// - With [`read_files_in`](Self::read_files_in), the variable whose name has `_FILE` appended holds the path of a file
///   with the value.
///
/// A variable that has the prefix but names no key is a problem, because a misspelled one would otherwise have no
/// effect. The exceptions are declared with [`ignore`](Self::ignore), [`ignore_prefix`](Self::ignore_prefix) and
/// [`ignore_kubernetes_services`](Self::ignore_kubernetes_services).
#[derive(Clone, Default)]
pub struct Variables {
    prefix: String,
    values: Vec<(String, String)>,
    ignored_names: Vec<String>,
    ignored_prefixes: Vec<String>,
    ignores_kubernetes_services: bool,
    /// The folder at which the relative paths of `…_FILE` variables start. Without it, there are no such variables.
    folder: Option<PathBuf>,
}

/// A variable and the key that it sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name of the variable.
    pub name: String,
    /// The path of the key, such as `shelves[0].name`.
    pub key: String,
}

impl Variables {
    /// Takes the variables whose names start with `prefix` from `values`, which are pairs of a name and a value.
    ///
    /// The prefix must be in upper case and end in `_`, such as `SHOP_`.
    pub fn new(prefix: &str, values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = values.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        Self { prefix: prefix.to_owned(), values, ..Self::default() }
    }

    /// Ignores the variable with this name, prefix included, unless it names a key.
    #[must_use]
    pub fn ignore(mut self, name: &str) -> Self {
        self.ignored_names.push(name.to_owned());
        self
    }

    /// Ignores the variables whose names start with `prefix`, unless they name a key.
    #[must_use]
    pub fn ignore_prefix(mut self, prefix: &str) -> Self {
        self.ignored_prefixes.push(prefix.to_owned());
        self
    }

    /// Ignores the [variables that Kubernetes sets][variables] for Services, unless they name a key.
    ///
    /// Kubernetes sets them for each Service of the namespace. Variables of the Services `shop` and `shop-web` start
    /// with `SHOP_`.
    ///
    /// [variables]: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    #[must_use]
    pub fn ignore_kubernetes_services(mut self) -> Self {
        self.ignores_kubernetes_services = true;
        self
    }

    /// Also takes the variables that name a file: the variable of a key with `_FILE` appended, as in
    /// `SHOP_DOOR_KEY_FILE`. Its value is the path of a file whose content is the value of the key, without trailing
    /// line breaks. A relative path starts at `folder`. A file that is empty or cannot be read is a problem, and so are
    /// both variables of one key.
    ///
    /// A key whose own variable ends in `_FILE` keeps it.
    #[must_use]
    pub fn read_files_in(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Whether a variable of this name and value is ignored if it names no key.
    pub fn ignores(&self, name: &str, value: &str) -> bool {
        let Some(path) = name.strip_prefix(&self.prefix) else { return true };
        self.ignored_names.iter().any(|ignored| ignored == name)
            || self.ignored_prefixes.iter().any(|prefix| name.starts_with(prefix))
            || (self.ignores_kubernetes_services && kubernetes::is_service_variable(path, value))
    }

    /// Returns the variables of all keys of `T`, with the index 0 for each list and `default` for each key of a map.
    pub fn of<T: JsonSchema>(&self) -> Vec<Variable> {
        self.known(&Shape::of::<T>(), "0")
    }

    fn known(&self, shape: &Shape, index: &str) -> Vec<Variable> {
        let mut known = Vec::new();
        collect(shape, &self.prefix, "", index, &mut known);
        known
    }

    /// Writes the values into `tree`, and returns a problem for each variable that cannot be applied.
    pub(crate) fn apply(&self, shape: &Shape, tree: &mut Node) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut assignments = Vec::new();
        for (name, text) in &self.values {
            let Some(path) = name.strip_prefix(&self.prefix) else { continue };
            match self.target(shape, path, Some(tree)) {
                Some((target, is_file)) => assignments.push(Assignment { target, name, text, is_file }),
                None if self.ignores(name, text) => {}
                None => problems.push(self.unknown(shape, name)),
            }
        }
        assignments.sort_by(|one, other| (&one.target.steps, one.is_file).cmp(&(&other.target.steps, other.is_file)));
        let mut before: Option<Assignment<'_>> = None;
        for assignment in assignments {
            problems.extend(self.assign(tree, &assignment, before.as_ref()));
            before = Some(assignment);
        }
        problems
    }

    /// Returns the key that the upper-case `path` names, and whether the variable names a file with the key's value.
    fn target<'s>(&self, shape: &'s Shape, path: &str, tree: Option<&Node>) -> Option<(Target<'s>, bool)> {
        let value = resolve(shape, path, tree).map(|target| (target, false));
        value.or_else(|| {
            self.folder.as_ref()?;
            Some((resolve(shape, path.strip_suffix(FILE)?, tree)?, true))
        })
    }

    /// Writes the value of one variable into `tree`. `before` is the variable that was written before.
    fn assign(&self, tree: &mut Node, assignment: &Assignment<'_>, before: Option<&Assignment<'_>>) -> Option<Problem> {
        let Assignment { target, name, text, is_file } = assignment;
        let source = Source::Variable((*name).clone());
        if let Some(other) = before.filter(|before| *is_file && before.target.steps == target.steps) {
            return Some(Problem::at(&source, target.key(), format!("`{}` is set too; unset one of them", other.name)));
        }
        let content;
        let text = match self.folder.as_deref().filter(|_| *is_file) {
            Some(folder) => match files::content(folder, text) {
                Ok(found) => {
                    content = found;
                    &content
                }
                Err(message) => return Some(Problem::at(&source, target.key(), message)),
            },
            None => *text,
        };
        let value = read(target, &source, text);
        set(tree, "", &target.steps, Node { source, value })
    }

    /// Returns the problem of a placeholder in the value of `key`, whose shape is `shape`.
    pub(crate) fn way_out(&self, shape: &Shape, key: &str, placeholder: &str) -> String {
        // An item of a list of texts has no variable of its own.
        let key = key.strip_suffix(']').and_then(|key| key.rsplit_once('[')).map_or(key, |(list, _)| list);
        let variable = format!("{}{}", self.prefix, in_variables(&key.replace(']', "")));
        let file = self.folder.as_ref().map(|_| format!("{variable}{FILE}"));
        let has_variable = has_variable(shape) && !self.prefix.is_empty();
        placeholder::message(placeholder, has_variable.then_some((variable.as_str(), file.as_deref())))
    }

    fn unknown(&self, shape: &Shape, name: &str) -> Problem {
        let prefix = &self.prefix;
        let path = &name[prefix.len()..];
        let index = path.split('_').find(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let known = self.known(shape, index.unwrap_or("0"));
        let known_paths = known.iter().map(|known| &known.name[prefix.len()..]);
        let near = if self.folder.is_some() && path.ends_with(FILE) {
            let files: Vec<String> = known_paths.clone().map(|path| format!("{path}{FILE}")).collect();
            let files = files.iter().map(String::as_str).chain(known_paths.filter(|path| path.ends_with(FILE)));
            nearest(path, files).map(str::to_owned)
        } else {
            nearest(path, known_paths).map(str::to_owned)
        };
        let message = match near {
            Some(near) => format!("unknown variable; did you mean `{prefix}{near}`?"),
            None => match known.first() {
                Some(Variable { name: example, .. }) => {
                    format!("unknown variable; a key's variable is its path in upper case, such as `{example}`")
                }
                None => "unknown variable".into(),
            },
        };
        Problem::at(&Source::Variable(name.to_owned()), "", message)
    }
}

/// The value that a variable gives to a key.
struct Assignment<'a> {
    target: Target<'a>,
    name: &'a String,
    text: &'a String,
    /// Whether the text is the path of a file with the value.
    is_file: bool,
}

/// Shows the names of the variables without their values, which can be secrets.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.values.iter().map(|(name, _)| name).collect();
        f.debug_struct("Variables")
            .field("prefix", &self.prefix)
            .field("names", &names)
            .field("ignored_names", &self.ignored_names)
            .field("ignored_prefixes", &self.ignored_prefixes)
            .field("ignores_kubernetes_services", &self.ignores_kubernetes_services)
            .field("folder", &self.folder)
            .finish()
    }
}

/// Collects the variables of the keys in `shape`, which is the shape of `key`. Their names start with `name`.
fn collect(shape: &Shape, name: &str, key: &str, index: &str, known: &mut Vec<Variable>) {
    match shape {
        Shape::Struct(fields) => {
            for Field { name: child, shape, .. } in fields {
                collect_child(shape, &format!("{name}{}", child.to_uppercase()), &key_of(key, child), index, known);
            }
        }
        Shape::Map(values) => {
            collect_child(values, &format!("{name}DEFAULT"), &key_of(key, "default"), index, known);
        }
        Shape::List(items) => collect_child(items, &format!("{name}{index}"), &format!("{key}[{index}]"), index, known),
        _ => {}
    }
}

fn collect_child(shape: &Shape, name: &str, key: &str, index: &str, known: &mut Vec<Variable>) {
    if has_variable(shape) {
        known.push(Variable { name: name.to_owned(), key: key.to_owned() });
    } else {
        collect(shape, &format!("{name}_"), key, index, known);
    }
}

#[cfg(test)]
mod tests;
