//! `protobridge store lifecycle`, which prints the rules by which S3 deletes old objects.

use insta::assert_snapshot;

use crate::cli::{CONFIG, Folder};
use crate::command::bare;

/// Runs `store lifecycle` with a configuration that has this section besides the others.
fn lifecycle(section: &str) -> String {
    let folder = Folder::new();
    folder.write("protobridge.yaml", format!("{CONFIG}{section}\n"));
    folder.output_of(&mut bare(), &["store", "lifecycle", "--config", "protobridge.yaml"])
}

#[test]
fn the_rules_of_a_bucket_come_with_the_command_that_applies_them() {
    assert_snapshot!(lifecycle("store: {url: 's3://acme/prod'}\njournal: {retention_days: 14}"), @"");
}

#[test]
fn a_folder_needs_no_rules_and_without_a_store_there_are_none() {
    let ends = [lifecycle("store: {url: 'file:///var/lib/protobridge'}"), lifecycle("")];
    assert_snapshot!(ends.join("\n\n"), @"");
}
