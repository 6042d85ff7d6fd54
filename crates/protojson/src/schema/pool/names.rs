//! Names: which definition a type name refers to.

use super::{Pool, join};

/// A message or an enum by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Message(u32),
    Enum(u32),
}

impl Pool {
    /// Returns the full name of a message or an enum.
    pub(super) fn name_of(&self, symbol: Symbol) -> &str {
        match symbol {
            Symbol::Message(index) => &self.messages[index as usize].name,
            Symbol::Enum(index) => &self.enums[index as usize].name,
        }
    }

    /// Returns the index of the file that defines a message or an enum.
    pub(super) fn file_of(&self, symbol: Symbol) -> u32 {
        match symbol {
            Symbol::Message(index) => self.messages[index as usize].origin.file,
            Symbol::Enum(index) => self.enums[index as usize].origin.file,
        }
    }

    /// Returns the message or enum with this full name.
    pub(super) fn find(&self, full_name: &str) -> Option<Symbol> {
        let at = self.symbols.binary_search_by(|symbol| self.name_of(*symbol).cmp(full_name)).ok()?;
        Some(self.symbols[at])
    }

    /// Returns the message or enum that a type name refers to. Compilers write a full name with a leading dot. Any other
    /// name is relative to `scope`, a full name: the innermost scope that has the first part of the name decides.
    pub(super) fn resolve(&self, scope: &str, type_name: &str) -> Option<Symbol> {
        if let Some(full_name) = type_name.strip_prefix('.') {
            return self.find(full_name);
        }
        let (first, is_simple) = match type_name.split_once('.') {
            Some((first, _)) => (first, false),
            None => (type_name, true),
        };
        let mut scope = Some(scope);
        while let Some(around) = scope {
            let found = self.find(&join(around, type_name));
            if found.is_some() || !is_simple && self.is_scope(&join(around, first)) {
                return found;
            }
            scope = match around.rsplit_once('.') {
                Some((outer, _)) => Some(outer),
                None if around.is_empty() => None,
                None => Some(""),
            };
        }
        None
    }

    /// Whether a package, a message or an enum has this full name.
    fn is_scope(&self, full_name: &str) -> bool {
        self.find(full_name).is_some() || self.packages.binary_search_by(|known| (**known).cmp(full_name)).is_ok()
    }
}
