//! Comparing what the configuration in force and a candidate make of archived messages. Publishes nothing.

mod archived;
mod candidate;
mod engine;
mod report;
mod samples;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::ValueEnum;
use strict_config::nearest;

use super::Filter;
use crate::app::Offline;
use crate::cli::config_file::ConfigFile;
use crate::cli::window::Window;
use crate::cli::{Usage, runtime};
use engine::Engine;
use report::{Report, Source};

/// The heading of the options in the help.
const HEADING: &str = "Compare before you ship";

/// The options that only sending has.
const SENDING: [&str; 10] =
    ["unconfirmed", "quarantined", "rate", "step", "dry_run", "yes", "name", "resume", "list", "cancel"];

/// The options of a comparison.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(super) struct Options {
    /// Publish nothing: show what this change would make of the messages
    ///
    /// CANDIDATE is one of these, recognized by its content: a descriptor set, which replaces the set in force with its
    /// file name, or is added; a folder or an s3:// prefix of sets, which replaces all sets in force; a customers file;
    /// a whole configuration file. Repeat the option to combine them. Each message is decided about and rendered twice,
    /// with the configuration in force (--config) and with the candidate. No call is made to AWS, except to read the
    /// store.
    #[arg(long, value_name = "CANDIDATE", conflicts_with_all = SENDING, help_heading = HEADING)]
    compare: Vec<String>,
    /// Compare over the samples in this folder instead of an archive
    ///
    /// The samples are all files of these forms: test files of `protobridge test` (*.yaml; `expect` is not used);
    /// events in files whose names begin with the type, such as shop.v1.OrderPlaced.small.bin (the payload), .json
    /// (Protobuf JSON) or .txtpb (the text format); and messages as `aws sqs receive-message` prints them (*.json).
    /// Name the queue of files with --queue if there are several.
    #[arg(
        long, value_name = "FOLDER", requires = "compare", conflicts_with_all = ["from", "to"],
        help_heading = HEADING
    )]
    samples: Option<PathBuf>,
    /// Compare only this share of the messages, such as 0.1. The message id decides, so each run takes the same ones
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "compare", help_heading = HEADING)]
    sample: Option<f64>,
    /// Stop after this number of messages
    #[arg(long, value_name = "N", requires = "compare", help_heading = HEADING)]
    limit: Option<u64>,
    /// Hide all values: show only where events differ
    #[arg(long, requires = "compare", help_heading = HEADING)]
    paths_only: bool,
    /// Which differences make the command exit with 1
    #[arg(long, value_enum, value_name = "WHICH", requires = "compare", help_heading = HEADING)]
    fail_on: Option<FailOn>,
}

/// The differences that make the command fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Any difference, or a gap of the archive
    Any,
    /// A difference that breaks consumers, or a gap of the archive; this is the default
    #[default]
    Breaking,
    /// None
    Never,
}

/// The text about comparisons below the options of the help.
pub(super) const HELP: &str = "\
Compare before you ship:
  protobridge replay --from 1h --compare new/orders.binpb
  protobridge replay --from 1d --sample 0.01 --compare customers.yaml
  protobridge replay --samples tests --compare new.yaml --paths-only

A comparison exits with 1 if the candidate breaks consumers: a path of the JSON is gone, has another type or another \
value; a delivery is lost or goes to another topic; a message is newly quarantined; an attribute or the message group \
has another value. New paths and new deliveries break nothing. The attributes schema-hash and traceparent are not \
compared. It also exits with 1 if a descriptor set of the candidate is refused, if the archive has gaps in the window, \
or if no message was compared. --fail-on changes that.";

impl Options {
    /// Whether a comparison is wanted.
    pub(super) fn is_wanted(&self) -> bool {
        !self.compare.is_empty()
    }
}

/// Compares the messages.
pub(super) fn run(
    options: &Options,
    window: &Window,
    filter: &Filter,
    config: &ConfigFile,
) -> anyhow::Result<ExitCode> {
    let archived = if options.samples.is_none() { Some(archived::named(window)?) } else { None };
    let in_force = config.load_offline(None)?;
    let runtime = runtime()?;
    let loading = candidate::load(&options.compare, in_force.config());
    let (candidate, recognized) = runtime.block_on(loading)?;
    let refused = refused([&in_force, &candidate]);
    check(filter, [&in_force, &candidate])?;
    let share = options.sample.unwrap_or(1.0);
    let mut engine = Engine::new([&in_force, &candidate], filter, share, options.limit);
    let source = match (&options.samples, archived) {
        (Some(folder), _) => {
            let queue = match filter.queue.as_slice() {
                [queue] => Some(queue.as_str()),
                _ => None,
            };
            samples::compare(folder, [&in_force, &candidate], queue, &mut engine)?;
            Source::Samples(folder.display().to_string())
        }
        (None, window) => {
            let window = window.unwrap_or_default();
            runtime.block_on(archived::compare(&in_force, config.path()?, window, &mut engine))?
        }
    };
    let (comparison, read) = engine.finish();
    let report =
        Report { recognized, refused, source, share, read, comparison: &comparison, is_paths_only: options.paths_only };
    let mut out = anstream::stdout().lock();
    if filter.json {
        report.write_json(&mut out)?;
    } else {
        report.write_text(&mut out)?;
    }
    drop(out);
    report.verdict(options.fail_on.unwrap_or_default())
}

/// Returns the reasons why sets of the candidate are refused that are not refused now.
fn refused([in_force, candidate]: [&Offline; 2]) -> Vec<String> {
    let texts = |side: &Offline| side.snapshot().refused().iter().map(ToString::to_string).collect::<Vec<_>>();
    let before = texts(in_force);
    texts(candidate).into_iter().filter(|text| !before.contains(text)).collect()
}

/// Checks that the queues and the customer of a filter exist.
fn check(filter: &Filter, sides: [&Offline; 2]) -> anyhow::Result<()> {
    for name in &filter.queue {
        let queue = sides[0].queue(Some(name))?;
        if queue.label != *name {
            return Err(Usage("--queue takes the name of a queue in the configuration").into());
        }
    }
    let Some(customer) = &filter.customer else { return Ok(()) };
    let known = || sides.iter().flat_map(|side| side.customers()).map(|id| &**id);
    if known().any(|id| id == customer) {
        return Ok(());
    }
    let hint = nearest(customer, known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(anyhow!("--customer {customer}: neither configuration has this customer{hint}"))
}

fn share(text: &str) -> Result<f64, &'static str> {
    let share: f64 = text.parse().map_err(|_| "it is no number")?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("a share is more than 0 and at most 1, such as 0.1") }
}

#[cfg(test)]
mod tests;
