//! `protobridge store`: the upkeep of the object store.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

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
    /// Print the lifecycle rules by which S3 deletes what is older than `journal.retention_days` and `archive.retention_days`, and old claim checks
    Lifecycle(Lifecycle),
}

/// Arguments of `store lifecycle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The rules are JSON that `aws s3api put-bucket-lifecycle-configuration` takes. That call REPLACES all rules of the \
bucket: if the bucket has other rules, add these to them. The role of the service cannot make the call, and needs not.

If claim checks have a bucket of their own (`claim_check.bucket`), the rules of both buckets are printed, each under the \
name of its bucket. With --bucket, the command prints those of one bucket, ready for the call.

Examples:
  protobridge store lifecycle --config protobridge.yaml > lifecycle.json
  protobridge store lifecycle --bucket acme-claims > lifecycle.json")]
struct Lifecycle {
    #[command(flatten)]
    config: ConfigFile,
    /// Print the rules of this bucket only
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
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
        about_folder(&config, folder);
    }
    let mut all = rules(&config);
    if let Some(name) = &args.bucket {
        let names = all.keys().cloned().collect::<Vec<_>>().join(", ");
        all.retain(|bucket, _| bucket == name);
        if all.is_empty() {
            let has = if names.is_empty() { "none".to_owned() } else { names };
            anyhow::bail!("the configuration stores nothing in the bucket {name}; it names {has}");
        }
    }
    let mut out = io::stdout().lock();
    match all.len() {
        0 if config.store.folder().is_some() => return Ok(()),
        0 => {
            let problem = "the configuration has neither `store.url` nor `claim_check.bucket`, so nothing is stored";
            return Err(super::Usage(problem).into());
        }
        1 => all.values().try_for_each(|rules| writeln!(out, "{rules:#}"))?,
        _ => writeln!(out, "{:#}", json!(all))?,
    }
    how_to_apply(&all.keys().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}

/// Tells how long the objects of a folder are kept.
fn about_folder(config: &Config, folder: &Path) {
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
}

/// Tells how to give their rules to these buckets.
fn how_to_apply(buckets: &[&str]) {
    if buckets.len() > 1 {
        anstream::eprintln!("The rules of each bucket are under its name. --bucket prints those of one, for the call.");
    }
    for bucket in buckets {
        anstream::eprintln!(
            "\
To apply the rules of {bucket}, write them to a file, such as lifecycle.json, and run:
  aws s3api put-bucket-lifecycle-configuration --bucket {bucket} --lifecycle-configuration file://lifecycle.json
warning: this replaces all rules of the bucket; if it has others, fetch them, and apply them together with these:
  aws s3api get-bucket-lifecycle-configuration --bucket {bucket}"
        );
    }
}

/// Returns the rules for what a configuration stores in S3, by bucket.
fn rules(config: &Config) -> BTreeMap<String, Value> {
    let mut rules: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    if let Some((bucket, prefix)) = config.store.bucket() {
        let full = |folder: &str| if prefix.is_empty() { format!("{folder}/") } else { format!("{prefix}/{folder}/") };
        // The first part of a folder: the rest is the version of its format.
        let kept = retention::retentions(config);
        let kept = kept.iter().map(|(folder, days)| (folder.split('/').next().unwrap_or(folder), *days));
        // `check --online` writes a small object below `check`.
        let kept = kept.chain([("check", 1)]).map(|(folder, days)| rule(&full(folder), days));
        rules.entry(bucket.to_owned()).or_default().extend(kept);
    }
    if let Some(bucket) = &config.claim_check.bucket {
        let claims = rule(&format!("{}/", config.claim_check.key_prefix), retention::CLAIM_DAYS);
        rules.entry(bucket.clone()).or_default().push(claims);
    }
    rules.into_iter().map(|(bucket, rules)| (bucket, json!({"Rules": rules}))).collect()
}

/// Returns the rule for the objects with a prefix.
fn rule(prefix: &str, days: u32) -> Value {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClaimCheck, Journal, Store};

    /// The id, the prefix and the days of a rule.
    type Rule = (String, String, Value);

    /// Returns the rules of each bucket.
    fn rules_of(url: Option<&str>, claims: Option<&str>) -> Vec<(String, Vec<Rule>)> {
        let store = Store { url: url.map(str::to_owned), ..Store::default() };
        let journal = Journal { retention_days: 14, ..Journal::default() };
        let claim_check = ClaimCheck { bucket: claims.map(str::to_owned), ..ClaimCheck::default() };
        let rule = |rule: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&rule["ID"]), text(&rule["Filter"]["Prefix"]), rule["Expiration"]["Days"].clone())
        };
        let all = rules(&Config { store, journal, claim_check, ..Config::default() }).into_iter();
        all.map(|(bucket, rules)| (bucket, rules["Rules"].as_array().unwrap().iter().map(rule).collect())).collect()
    }

    fn of_folders(prefix: &str) -> Vec<Rule> {
        let folders = [("journal/", 14), ("counters/", 14), ("archive/", 7), ("replays/", 90), ("check/", 1)];
        let rule = |(folder, days): (&str, i32)| {
            (format!("protobridge {prefix}{folder}"), format!("{prefix}{folder}"), json!(days))
        };
        folders.map(rule).to_vec()
    }

    #[test]
    fn each_prefix_has_a_rule_with_its_retention() {
        assert_eq!(rules_of(Some("s3://acme/prod/"), None), [("acme".to_owned(), of_folders("prod/"))]);
        let keys_begin_with_the_folder = of_folders("");
        assert_eq!(rules_of(Some("s3://acme"), None), [("acme".to_owned(), keys_begin_with_the_folder)]);
        assert_eq!(rules_of(Some("file:///var/lib/x"), None), []);
    }

    #[test]
    fn claim_checks_are_kept_for_a_day_longer_than_any_queue_keeps_a_message() {
        let claims = || vec![("protobridge claims/".to_owned(), "claims/".to_owned(), json!(15))];
        assert_eq!(rules_of(None, Some("claims-1")), [("claims-1".to_owned(), claims())]);
        assert_eq!(rules_of(Some("file:///x"), Some("claims-1")), [("claims-1".to_owned(), claims())]);
        let both = rules_of(Some("s3://acme"), Some("claims-1"));
        assert_eq!(both, [("acme".to_owned(), of_folders("")), ("claims-1".to_owned(), claims())]);
        let shared = [of_folders("prod/"), claims()].concat();
        assert_eq!(rules_of(Some("s3://acme/prod"), Some("acme")), [("acme".to_owned(), shared)]);
    }
}
