//! Tells the crate which commit it is built from, as the variable `BUILD_GIT_HASH`.
//!
//! The variable `GIT_HASH` takes precedence, for builds without a repository: of an archive, or in an image. Otherwise
//! the commit is read from the files of the repository, without a call of git. A build of the profile `dev` or `test`
//! does not read it, so that a commit alone makes cargo compile nothing again.

// The tests use only a part of this file.
#![cfg_attr(test, allow(dead_code))]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The variable that names the commit.
const VARIABLE: &str = "GIT_HASH";
/// The number of digits of a commit that are shown.
const DIGITS: usize = 12;
/// The hash if there is neither the variable nor a repository.
const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let hash = match env::var(VARIABLE).ok().and_then(|value| shown(&value)) {
        Some(hash) => hash,
        None if env::var("PROFILE").is_ok_and(|profile| profile == "debug") => "debug".to_owned(),
        None => of_repository(Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default())),
    };
    println!("cargo::rustc-env=BUILD_GIT_HASH={hash}");
}

/// Returns the hash of the repository in this folder. Makes cargo run this script again after the next commit.
pub(crate) fn of_repository(root: &Path) -> String {
    let Some(head) = Head::read(root) else { return UNKNOWN.to_owned() };
    for file in head.files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    head.hash
}

/// The commit that is checked out.
#[derive(Debug)]
struct Head {
    hash: String,
    /// The files that change with the next commit or checkout. All of them exist, because cargo would run the script
    /// for each build otherwise.
    files: Vec<PathBuf>,
}

impl Head {
    /// Reads the commit of the repository in this folder, not of one in a folder above: that is another repository.
    fn read(root: &Path) -> Option<Self> {
        let mut folder = root.join(".git");
        if let Ok(text) = fs::read_to_string(&folder) {
            // A worktree has a file that names its folder in the repository.
            folder = root.join(text.strip_prefix("gitdir:")?.trim());
        }
        // The branches of all worktrees are in one folder.
        let common = fs::read_to_string(folder.join("commondir")).map_or(folder.clone(), |it| folder.join(it.trim()));
        let head = fs::read_to_string(folder.join("HEAD")).ok()?;
        let mut files = vec![folder.join("HEAD"), folder.join("logs/HEAD")];
        let hash = match head.strip_prefix("ref:").map(str::trim) {
            None => head,
            Some(branch) => {
                files.extend([common.join(branch), common.join("packed-refs")]);
                fs::read_to_string(common.join(branch)).ok().or_else(|| packed(&common, branch))?
            }
        };
        files.retain(|file| file.exists());
        Some(Self { hash: shown(&hash)?, files })
    }
}

/// Returns the commit of a branch from the file of packed branches.
fn packed(common: &Path, branch: &str) -> Option<String> {
    let text = fs::read_to_string(common.join("packed-refs")).ok()?;
    let mut branches = text.lines().filter_map(|line| line.split_once(' '));
    branches.find(|(_, name)| *name == branch).map(|(hash, _)| hash.to_owned())
}

/// Returns a hash as it is shown: its first digits. A value that is not a hash is shown as it is, up to the first
/// space.
pub(crate) fn shown(value: &str) -> Option<String> {
    let word = value.split_whitespace().next()?;
    match word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Some(word.chars().take(DIGITS).collect()),
        false => Some(word.to_owned()),
    }
}
