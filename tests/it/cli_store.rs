//! `protobridge store lifecycle`, which prints the rules by which S3 deletes old objects.

use insta::assert_snapshot;

use crate::cli::{CONFIG, Folder};
use crate::command::bare;

/// Runs `store lifecycle` with a configuration that has this section besides the others.
fn lifecycle(section: &str) -> String {
    lifecycle_with(section, &[])
}

/// Runs `store lifecycle` with these arguments as well.
fn lifecycle_with(section: &str, more: &[&str]) -> String {
    let folder = Folder::new();
    folder.write("protobridge.yaml", format!("{CONFIG}{section}\n"));
    folder.output_of(&mut bare(), &[&["store", "lifecycle", "--config", "protobridge.yaml"], more].concat())
}

#[test]
fn the_rules_of_a_bucket_come_with_the_command_that_applies_them() {
    assert_snapshot!(lifecycle("store: {url: 's3://acme/prod'}\njournal: {retention_days: 14}\narchive: {retention_days: 5}"), @r#"
    {
      "Rules": [
        {
          "ID": "protobridge prod/journal/",
          "Filter": {
            "Prefix": "prod/journal/"
          },
          "Status": "Enabled",
          "Expiration": {
            "Days": 14
          },
          "NoncurrentVersionExpiration": {
            "NoncurrentDays": 1
          },
          "AbortIncompleteMultipartUpload": {
            "DaysAfterInitiation": 1
          }
        },
        {
          "ID": "protobridge prod/counters/",
          "Filter": {
            "Prefix": "prod/counters/"
          },
          "Status": "Enabled",
          "Expiration": {
            "Days": 14
          },
          "NoncurrentVersionExpiration": {
            "NoncurrentDays": 1
          },
          "AbortIncompleteMultipartUpload": {
            "DaysAfterInitiation": 1
          }
        },
        {
          "ID": "protobridge prod/archive/",
          "Filter": {
            "Prefix": "prod/archive/"
          },
          "Status": "Enabled",
          "Expiration": {
            "Days": 5
          },
          "NoncurrentVersionExpiration": {
            "NoncurrentDays": 1
          },
          "AbortIncompleteMultipartUpload": {
            "DaysAfterInitiation": 1
          }
        },
        {
          "ID": "protobridge prod/replays/",
          "Filter": {
            "Prefix": "prod/replays/"
          },
          "Status": "Enabled",
          "Expiration": {
            "Days": 90
          },
          "NoncurrentVersionExpiration": {
            "NoncurrentDays": 1
          },
          "AbortIncompleteMultipartUpload": {
            "DaysAfterInitiation": 1
          }
        },
        {
          "ID": "protobridge prod/check/",
          "Filter": {
            "Prefix": "prod/check/"
          },
          "Status": "Enabled",
          "Expiration": {
            "Days": 1
          },
          "NoncurrentVersionExpiration": {
            "NoncurrentDays": 1
          },
          "AbortIncompleteMultipartUpload": {
            "DaysAfterInitiation": 1
          }
        }
      ]
    }
    To apply the rules of acme, write them to a file, such as lifecycle.json, and run:
      aws s3api put-bucket-lifecycle-configuration --bucket acme --lifecycle-configuration file://lifecycle.json
    warning: this replaces all rules of the bucket; if it has others, fetch them, and apply them together with these:
      aws s3api get-bucket-lifecycle-configuration --bucket acme
    exit code 0
    "#);
}

#[test]
fn a_folder_needs_no_rules_and_without_a_store_there_are_none() {
    let ends = [lifecycle("store: {url: 'file:///var/lib/protobridge'}"), lifecycle("")];
    assert_snapshot!(ends.join("\n\n"), @"
    A folder needs no rules. protobridge deletes from /var/lib/protobridge:
      journal and counters older than 30 day(s) (`journal.retention_days`)
      archive older than 7 day(s) (`archive.retention_days`)
      progress of replays older than 90 days
    exit code 0

    error: the configuration has neither `store.url` nor `claim_check.bucket`, so nothing is stored; see --help
    exit code 2
    ");
}

#[test]
fn claim_checks_in_a_bucket_of_their_own_have_rules_of_their_own() {
    let both = "store: {url: 's3://acme'}\nclaim_check: {bucket: acme-claims}";
    let (claims, all) = (lifecycle_with(both, &["--bucket", "acme-claims"]), lifecycle(both));
    assert_snapshot!(claims, @r#"
    {
      "Rules": [
        {
          "ID": "protobridge claims/",
          "Filter": {
            "Prefix": "claims/"
          },
          "Status": "Enabled",
          "Expiration": {
            "Days": 15
          },
          "NoncurrentVersionExpiration": {
            "NoncurrentDays": 1
          },
          "AbortIncompleteMultipartUpload": {
            "DaysAfterInitiation": 1
          }
        }
      ]
    }
    To apply the rules of acme-claims, write them to a file, such as lifecycle.json, and run:
      aws s3api put-bucket-lifecycle-configuration --bucket acme-claims --lifecycle-configuration file://lifecycle.json
    warning: this replaces all rules of the bucket; if it has others, fetch them, and apply them together with these:
      aws s3api get-bucket-lifecycle-configuration --bucket acme-claims
    exit code 0
    "#);
    let of_buckets = all.lines().filter(|line| !line.starts_with("      ") && !line.contains("--bucket"));
    assert_snapshot!(of_buckets.collect::<Vec<_>>().join("\n"), @r#"
    {
      "acme": {
        "Rules": [
        ]
      },
      "acme-claims": {
        "Rules": [
        ]
      }
    }
    To apply the rules of acme, write them to a file, such as lifecycle.json, and run:
    warning: this replaces all rules of the bucket; if it has others, fetch them, and apply them together with these:
    To apply the rules of acme-claims, write them to a file, such as lifecycle.json, and run:
    warning: this replaces all rules of the bucket; if it has others, fetch them, and apply them together with these:
    exit code 0
    "#);
    assert_snapshot!(lifecycle_with(both, &["--bucket", "other"]), @"
    error: the configuration stores nothing in the bucket other; it names acme, acme-claims
    exit code 1
    ");
}
