//! `protobridge descriptors`: for those who own schemas, and for their CI.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use protojson::Change;
use serde_json::json;

use crate::config::{self, Descriptors, load};
use crate::route::{Router, Routes};
use crate::schema::registry::{Profiles, Registry, Snapshot};

/// Arguments of `descriptors`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
In the CI of those who own a schema:
  protoc --include_imports --descriptor_set_out=orders.binpb orders.proto
  protobridge descriptors check orders.binpb
  protobridge descriptors diff released/orders.binpb orders.binpb

What is added breaks nobody. A field, a message type or an enum value that is gone, renamed or of another type breaks
those who read the JSON; with --config the report names them.

Exit codes: 0 all is well, 1 a set cannot be used or something breaks, 2 usage, 64 bad configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// What is in a folder of descriptor sets, or in one: sets and message types
    List(Look),
    /// Whether every set loads, and agrees with the others
    Check(Look),
    /// What a new version breaks for those who read the JSON
    Diff(Diff),
}

#[derive(Debug, clap::Args)]
struct Look {
    /// Folder of descriptor sets, or one of them
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Diff {
    /// Folder or set as it is in force
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// Folder or set as it is to be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Configuration file, to name the customers who receive what breaks
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. What is wrong goes to standard output like everything else that was asked for.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(look) => list(look),
        Command::Check(look) => check(look),
        Command::Diff(args) => diff(args),
    }
}

fn snapshot(path: &Path) -> anyhow::Result<Arc<Snapshot>> {
    let settings = Descriptors { path: path.to_owned(), ..Descriptors::default() };
    let profiles = Arc::new(Profiles::new(&Default::default()));
    Ok(Registry::load(&settings, &config::Taps::default(), profiles)
        .with_context(|| path.display().to_string())?
        .current())
}

fn list(look: &Look) -> anyhow::Result<ExitCode> {
    let snapshot = snapshot(&look.path)?;
    let mut out = anstream::stdout().lock();
    if look.json {
        writeln!(out, "{:#}", report(&snapshot))?;
        return Ok(ExitCode::SUCCESS);
    }
    for set in snapshot.sets() {
        writeln!(out, "{} ({}, {} bytes, {} file(s))", set.name, set.hash, set.bytes, set.files())?;
        for (name, _) in snapshot.types().iter().filter(|(_, serves)| *serves == set.name) {
            writeln!(out, "  {name}")?;
        }
    }
    notes(&snapshot, &mut out)?;
    Ok(ExitCode::SUCCESS)
}

fn check(look: &Look) -> anyhow::Result<ExitCode> {
    let snapshot = snapshot(&look.path)?;
    let mut out = anstream::stdout().lock();
    if look.json {
        writeln!(out, "{:#}", report(&snapshot))?;
    } else {
        notes(&snapshot, &mut out)?;
        let (sets, types) = (snapshot.sets().len(), snapshot.types().len());
        writeln!(out, "{sets} set(s) with {types} message type(s) can be used")?;
    }
    match snapshot.refused().len() {
        0 => Ok(ExitCode::SUCCESS),
        refused => bail!("{refused} set(s) cannot be used"),
    }
}

fn notes(snapshot: &Snapshot, out: &mut impl std::io::Write) -> std::io::Result<()> {
    for outgrown in snapshot.outgrown() {
        writeln!(
            out,
            "note: {} of {} has less than that of {}, which serves",
            outgrown.full_name, outgrown.set, outgrown.by
        )?;
    }
    for refused in snapshot.refused() {
        writeln!(out, "refused: {}", refused.reason)?;
    }
    Ok(())
}

fn report(snapshot: &Snapshot) -> serde_json::Value {
    let sets = snapshot.sets().iter();
    json!({
        "sets": sets.map(|set| json!({
            "name": set.name,
            "hash": &*set.hash,
            "bytes": set.bytes,
            "files": set.files(),
        })).collect::<Vec<_>>(),
        "refused": snapshot.refused().iter().map(|refused| json!({
            "name": refused.name,
            "reason": refused.reason,
        })).collect::<Vec<_>>(),
        "outgrown": snapshot.outgrown().iter().map(|outgrown| json!({
            "name": outgrown.full_name,
            "set": outgrown.set,
            "by": outgrown.by,
        })).collect::<Vec<_>>(),
        "types": snapshot.types().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn diff(args: &Diff) -> anyhow::Result<ExitCode> {
    let (old, new) = (snapshot(&args.old)?, snapshot(&args.new)?);
    if let Some(refused) = old.refused().iter().chain(new.refused()).next() {
        bail!("{}", refused.reason);
    }
    let router = args.config.as_deref().map(|path| router(path, &old)).transpose()?;
    let changes = new.breaking_changes(&old);
    let receivers = |change: &Change| -> Option<Vec<String>> {
        let receivers = router.as_ref()?.receivers(&change.message_type);
        Some(receivers.into_iter().map(str::to_owned).collect())
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        let changes: Vec<_> = changes
            .iter()
            .map(|change| {
                json!({
                    "message_type": change.message_type,
                    "element": change.element,
                    "rule": change.rule.code(),
                    "text": change.text,
                    "customers": receivers(change),
                })
            })
            .collect();
        writeln!(out, "{:#}", json!({ "breaking": changes }))?;
    } else {
        for change in &changes {
            match receivers(change) {
                None => writeln!(out, "{change}")?,
                Some(ids) if ids.is_empty() => writeln!(out, "{change}; received by nobody")?,
                Some(ids) => writeln!(out, "{change}; received by {}", ids.join(", "))?,
            }
        }
    }
    out.flush()?;
    match changes.len() {
        0 if args.json => Ok(ExitCode::SUCCESS),
        0 => {
            writeln!(out, "nothing breaks")?;
            Ok(ExitCode::SUCCESS)
        }
        count => bail!("{count} change(s) break those who read the JSON"),
    }
}

fn router(config: &Path, known: &Snapshot) -> anyhow::Result<Arc<Router>> {
    let config = load::file(config, load::environment())?;
    let profiles = Arc::new(Profiles::new(&config.profiles));
    let routes = Routes::load(&config.route, profiles, known.type_names()).map_err(crate::app::Error::from)?;
    Ok(routes.current())
}
