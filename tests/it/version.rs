//! The places that name the running build and its files: `--version`, the first log line and `protobridge_build_info`;
//! and the commands that describe the command line to shells and to `man`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protobridge::base::build::{GIT_HASH, VERSION};
use protobridge::cli::embedded::samples::SETS;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{self, Ended, bare};
use crate::emulator::{Emulator, scenarios};
use crate::stage::Stage;
use crate::wait;

#[path = "../../build.rs"]
mod build_script;

scenarios! {
    both: [];
    embedded: [the_first_log_line_and_build_info_name_the_build_and_its_files];
    ministack: [];
}

fn run(arguments: &[&str]) -> Ended {
    command::run(bare().args(arguments), b"")
}

/// Returns the labels of `protobridge_build_info`, which must be shown once.
fn build_info(metrics: &str) -> BTreeMap<String, String> {
    let mut lines = metrics.lines().filter_map(|line| line.strip_prefix("protobridge_build_info{"));
    let labels = lines.next().expect("the metric is shown").strip_suffix("} 1").expect("its value is 1");
    assert_eq!(lines.next(), None, "{metrics}");
    let labels = labels.split(',').map(|label| label.split_once('=').expect("a label has a value"));
    labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

async fn the_first_log_line_and_build_info_name_the_build_and_its_files(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let sets = TempDir::new().expect("a temporary folder can be created");
    let (name, set) = SETS[0];
    fs::write(sets.path().join(name), set).expect("the file can be written");
    stage.config.descriptors.path = sets.path().into();
    stage.config.descriptors.poll_seconds = 1;
    let service = stage.spawn().await;
    let metrics = async || build_info(&service.get("/metrics").await.expect("the service runs").body);
    let started = metrics().await;
    assert_eq!((&*started["version"], &*started["git_hash"]), (VERSION, GIT_HASH));

    let (name, set) = SETS[1];
    fs::write(sets.path().join(name), set).expect("the file can be written");
    let reloaded = wait::until("the hash of the sets changes", async || {
        Some(metrics().await).filter(|labels| labels["sets_hash"] != started["sets_hash"])
    })
    .await;
    assert_eq!(reloaded["config_hash"], started["config_hash"]);
    service.terminate();
    let (_, log) = service.wait_for_exit().await;
    let first: Value = serde_json::from_str(log.lines().next().expect("there is a log")).expect("the log is JSON");
    assert_eq!(first["message"], "starting");
    for (label, value) in &started {
        assert_eq!(first[label], **value, "{label}");
    }
}

#[test]
fn the_version_names_the_commit() {
    let ended = run(&["--version"]);
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("protobridge {VERSION} ({GIT_HASH})\n")));
}

#[test]
fn completions_know_the_commands() {
    for (shell, expected) in [("bash", "_protobridge()"), ("zsh", "#compdef protobridge"), ("fish", "complete -c ")] {
        let ended = run(&["completions", shell]);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        assert!(ended.stdout.contains(expected) && ended.stdout.contains("healthcheck"), "{}", ended.stdout);
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = TempDir::new().expect("a temporary folder can be created");
    let out = folder.path().join("man1");
    let written = run(&["man", "--out", out.to_str().expect("the path is UTF-8")]);
    assert_eq!((written.code, &*written.stdout, &*written.stderr), (Some(0), "", ""));
    for (arguments, page) in [(&["man"][..], "protobridge.1"), (&["man", "run"], "protobridge-run.1")] {
        let printed = run(arguments);
        assert_eq!((printed.code, &*printed.stderr), (Some(0), ""));
        assert!(printed.stdout.contains(".SH SYNOPSIS"), "{}", printed.stdout);
        assert!(out.join(page).is_file(), "{page}");
    }
    assert!(
        fs::read_to_string(out.join("protobridge-run.1")).expect("the page is written").contains("PROTOBRIDGE_CONFIG")
    );
    let nested = run(&["man", "descriptors", "diff"]).stdout;
    assert!(nested.contains(&format!("\"protobridge {VERSION} ({GIT_HASH})\"")), "{nested}");
    let unknown = run(&["man", "rnu"]);
    assert_eq!((unknown.code, &*unknown.stderr), (Some(2), "error: there is no such command; see --help\n"));
}

/// Writes the files of a repository, each with its content.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be created");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("the file is in a folder")).expect("the folder can be created");
        fs::write(path, content).expect("the file can be written");
    }
    folder
}

const HASH: &str = "3cd2f13fd8a2d4e5f60718293a4b5c6d7e8f9012\n";

#[test]
fn the_commit_of_a_branch_a_packed_branch_and_a_detached_head_is_found() {
    let packed =
        format!("# pack-refs with: peeled\n0000000000000000 refs/heads/other\n{} refs/heads/main\n", HASH.trim());
    for files in [
        &[(".git/HEAD", "ref: refs/heads/main\n"), (".git/refs/heads/main", HASH)][..],
        &[(".git/HEAD", "ref: refs/heads/main\n"), (".git/packed-refs", &packed)],
        &[(".git/HEAD", HASH)],
    ] {
        assert_eq!(build_script::of_repository(repository(files).path()), "3cd2f13fd8a2", "{files:?}");
    }
}

#[test]
fn the_commit_of_a_worktree_is_found_in_its_repository() {
    let folder = repository(&[
        ("main/.git/worktrees/fix/HEAD", "ref: refs/heads/fix\n"),
        ("main/.git/worktrees/fix/commondir", "../..\n"),
        ("main/.git/refs/heads/fix", HASH),
        ("fix/.git", "gitdir: ../main/.git/worktrees/fix\n"),
    ]);
    assert_eq!(build_script::of_repository(&folder.path().join("fix")), "3cd2f13fd8a2");
}

#[test]
fn a_folder_without_a_repository_has_no_commit() {
    let folder = repository(&[(".git/HEAD", HASH), ("vendor/protobridge/Cargo.toml", "")]);
    assert_eq!(build_script::of_repository(&folder.path().join("vendor/protobridge")), "unknown");
    assert_eq!(build_script::of_repository(Path::new("/nonexistent")), "unknown");
}

#[test]
fn the_variable_of_the_build_is_shown_as_it_is_or_by_its_first_digits() {
    assert_eq!(build_script::shown(HASH).as_deref(), Some("3cd2f13fd8a2"));
    assert_eq!(build_script::shown("v1.2-7-g3cd2f13 \n").as_deref(), Some("v1.2-7-g3cd2f13"));
    assert_eq!(build_script::shown(" \n"), None);
}
