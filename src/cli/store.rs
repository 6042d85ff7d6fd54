//! `protobridge store`: the upkeep of the object store.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::config_file::ConfigFile;
use crate::config::Config;
use crate::store::retention;

/// Arguments of `store`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the lifecycle rules by which S3 deletes what is older than `journal.retention_days` and `archive.retention_days`
    Lifecycle(Lifecycle),
}

/// Arguments of `store lifecycle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The rules are JSON that `aws s3api put-bucket-lifecycle-configuration` takes. That call REPLACES all rules of the \
bucket: if the bucket has other rules, add these to them. The role of the service cannot make the call, and needs not.

Example:
  protobridge store lifecycle --config protobridge.yaml > lifecycle.json")]
struct Lifecycle {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Lifecycle(args) => lifecycle(args),
    }
}

fn lifecycle(args: &Lifecycle) -> anyhow::Result<()> {
    let config = args.config.load()?;
    if let Some(folder) = config.store.folder() {
        anstream::eprintln!(
            "\
A folder needs no rules. protobridge deletes from {}:
  journal and counters older than {} day(s) (`journal.retention_days`)
  archive older than {} day(s) (`archive.retention_days`)
  progress of replays older than {} days",
            folder.display(),
            config.journal.retention_days,
            config.archive.retention_days,
            retention::REPLAY_DAYS
        );
        return Ok(());
    }
    let Some((bucket, _)) = config.store.bucket() else {
        return Err(super::Usage("the configuration has no `store.url`, so nothing is stored").into());
    };
    writeln!(io::stdout().lock(), "{:#}", rules(&config))?;
    anstream::eprintln!(
        "\
To apply the rules, write them to a file, such as lifecycle.json, and run:
  aws s3api put-bucket-lifecycle-configuration --bucket {bucket} --lifecycle-configuration file://lifecycle.json
warning: this replaces all rules of the bucket; if it has others, fetch them, and apply them together with these:
  aws s3api get-bucket-lifecycle-configuration --bucket {bucket}"
    );
    Ok(())
}

/// Returns the rules for the store of a configuration. Without a store in S3 there are none.
fn rules(config: &Config) -> Value {
    let Some((_, prefix)) = config.store.bucket() else { return json!({"Rules": []}) };
    let rule = |folder: &str, days: u32| {
        let prefix = if prefix.is_empty() { format!("{folder}/") } else { format!("{prefix}/{folder}/") };
        json!({
            "ID": format!("protobridge {prefix}"),
            "Filter": {"Prefix": prefix},
            "Status": "Enabled",
            "Expiration": {"Days": days},
            // In a bucket with versions, an expired object is kept as a former version, which needs a rule of its own:
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        })
    };
    // The first part of a folder: the rest is the version of its format.
    let kept = retention::retentions(config);
    let kept = kept.iter().map(|(folder, days)| rule(folder.split('/').next().unwrap_or(folder), *days));
    // `check --online` writes a small object below `check`.
    json!({"Rules": kept.chain([rule("check", 1)]).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Journal, Store};

    fn rules_of(url: &str) -> Vec<(String, String, Value)> {
        let store = Store { url: Some(url.to_owned()), ..Store::default() };
        let config =
            Config { store, journal: Journal { retention_days: 14, ..Journal::default() }, ..Config::default() };
        let rules = rules(&config);
        let rule = |rule: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&rule["ID"]), text(&rule["Filter"]["Prefix"]), rule["Expiration"]["Days"].clone())
        };
        rules["Rules"].as_array().unwrap().iter().map(rule).collect()
    }

    #[test]
    fn each_prefix_has_a_rule_with_its_retention() {
        let expected = [
            ("prod/journal/", 14),
            ("prod/counters/", 14),
            ("prod/archive/", 7),
            ("prod/replays/", 90),
            ("prod/check/", 1),
        ];
        let expected = expected.map(|(prefix, days)| (format!("protobridge {prefix}"), prefix.to_owned(), json!(days)));
        assert_eq!(rules_of("s3://acme/prod/"), expected);
        assert_eq!(rules_of("s3://acme")[0].1, "journal/", "without a prefix, the keys begin with the folder");
        assert_eq!(rules_of("file:///var/lib/x"), []);
    }
}
