//! `protobridge descriptors`: shows, checks and compares descriptor sets, for schema owners and their CI.

mod memory;
mod remote;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use http::Uri;
use protojson::Change;
use serde_json::json;

use super::{Usage, inputs};
use crate::config::{Aws, Config, Descriptors, Location, load};
use crate::route::{Router, Routes};
use crate::schema::registry::{Profiles, Refused, Registry, Snapshot};

/// Arguments of `descriptors`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
In the CI of a schema owner:
  protoc --include_imports --descriptor_set_out=orders.binpb orders.proto
  protobridge descriptors check orders.binpb
  protobridge descriptors diff released/orders.binpb orders.binpb
  protobridge descriptors diff --against http://protobridge:8080 orders.binpb

To save the sets that a running service has in force:
  protobridge descriptors fetch http://protobridge:8080 --out in-force

To plan the memory of a pod (Linux only):
  protobridge descriptors memory descriptors/

Additions never break consumers, unless a new field is required. Removing or renaming a field, an extension, a message \
type or an enum value, or changing the type of a field, breaks the consumers of the JSON. A field that becomes required \
breaks producers. Removing the option debug_redact from the last set that has it, or changing the type of a field around a marked \
field, shows a value that was hidden. With --config, the report also has the \
fields that the paths of the profiles hide or no longer hide, and names the customers concerned.

Exit codes: 0 success, 1 a set cannot be used or a change breaks consumers, 2 wrong usage, 64 wrong configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// List descriptor sets and their message types, each type with the schema hash that its events carry
    List(SetsArgs),
    /// Check that every set loads and does not contradict another set
    Check(SetsArgs),
    /// Report what a new version breaks for the consumers of the JSON
    Diff(DiffArgs),
    /// Save the sets that a running service has in force
    Fetch(FetchArgs),
    /// Measure the memory that the sets take at rest, while they are loaded and while they are reloaded
    Memory(MemoryArgs),
}

#[derive(Debug, clap::Args)]
struct SetsArgs {
    /// Folder of descriptor sets, or one descriptor set: a path, or s3://BUCKET/PREFIX
    #[arg(value_name = "PATH")]
    path: Location,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct MemoryArgs {
    /// Folder of descriptor sets, or one descriptor set: a path, or s3://BUCKET/PREFIX
    #[arg(value_name = "PATH")]
    path: Location,
}

#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// Folder or set in its current version; with --against, in its new version
    #[arg(value_name = "OLD")]
    old: Location,
    /// Folder or set in its new version. Each of the two can be s3://BUCKET/PREFIX or s3://BUCKET/KEY
    #[arg(value_name = "NEW", required_unless_present = "against", conflicts_with = "against")]
    new: Option<Location>,
    /// Compare with the sets that a running service has in force: the URL of its admin endpoint, such as
    /// http://localhost:8080. A folder is compared with all of them; a set takes the place of the one of its name
    #[arg(long, value_name = "URL")]
    against: Option<Uri>,
    /// The name that the set has in the folder of the service, such as payments/refunds.binpb [default: its file name]
    #[arg(long, value_name = "NAME", requires = "against")]
    set: Option<String>,
    /// Configuration file (YAML); has the profiles that hide fields, and the customers who receive the changed types
    /// [default: none, also if the folder has one]
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct FetchArgs {
    /// URL of the admin endpoint, such as http://localhost:8080
    #[arg(value_name = "URL")]
    url: Uri,
    /// Folder to save the sets in; files that are there already are replaced
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Save only the set of this name; repeat the option for several
    #[arg(long = "set", value_name = "NAME")]
    sets: Vec<String>,
}

/// Runs the command. Its report, problems included, goes to standard output.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Check(args) => check(args),
        Command::Diff(args) => diff(args),
        Command::Fetch(args) => remote::save(&args.url, &args.out, &args.sets),
        Command::Memory(args) => memory::report(&args.path),
    }
}

fn registry(place: &Location) -> anyhow::Result<Registry> {
    let settings = Descriptors { path: place.clone(), ..Descriptors::default() };
    let profiles = Arc::new(Profiles::new(&Default::default()));
    inputs::registry(&settings, &Aws::default(), profiles).with_context(|| place.to_string())
}

fn snapshot(place: &Location) -> anyhow::Result<Arc<Snapshot>> {
    Ok(registry(place)?.current())
}

fn list(args: &SetsArgs) -> anyhow::Result<ExitCode> {
    let registry = registry(&args.path)?;
    let snapshot = registry.current();
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", to_json(&snapshot))?;
        return Ok(ExitCode::SUCCESS);
    }
    for set in snapshot.sets() {
        writeln!(out, "{} ({}, {} bytes, {} file(s))", set.name, set.hash, set.bytes, set.files())?;
        for (name, _) in snapshot.types().iter().filter(|(_, defined_in)| *defined_in == set.name) {
            let hash = snapshot.find(name).map_or("", |known| &known.schema_hash);
            writeln!(out, "  {hash}  {name}")?;
        }
    }
    write_notes(&registry, &snapshot, &mut out)?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &SetsArgs) -> anyhow::Result<ExitCode> {
    let registry = registry(&args.path)?;
    let snapshot = registry.current();
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", to_json(&snapshot))?;
    } else {
        write_notes(&registry, &snapshot, &mut out)?;
        let (sets, types) = (snapshot.sets().len(), snapshot.types().len());
        writeln!(out, "{sets} set(s) with {types} message type(s) can be used")?;
    }
    match snapshot.refused().len() {
        0 => Ok(ExitCode::SUCCESS),
        refused => bail!("{refused} set(s) cannot be used"),
    }
}

/// Returns an error with the first refused set, if there is one.
fn bail_if_refused(snapshot: &Snapshot) -> anyhow::Result<()> {
    bail_if_newly_refused(&[], snapshot)
}

/// Returns an error with the first refused set that was not refused before.
fn bail_if_newly_refused(before: &[Refused], snapshot: &Snapshot) -> anyhow::Result<()> {
    match snapshot.refused().iter().find(|refused| !before.contains(refused)) {
        Some(refused) => bail!("{}", refused.reason),
        None => Ok(()),
    }
}

/// Prints a warning about sources, the smaller ones of several definitions of a type, the fields whose JSON names clash,
/// the fields that the marks of other sets hide as a whole, and the refused sets.
fn write_notes(registry: &Registry, snapshot: &Snapshot, out: &mut impl std::io::Write) -> std::io::Result<()> {
    if let Some(warning) = registry.source_warning() {
        writeln!(out, "warning: {warning}")?;
    }
    for outgrown in snapshot.outgrown() {
        writeln!(
            out,
            "note: {} has a larger definition in {by} than in {}; the one in {by} is used",
            outgrown.full_name,
            outgrown.set,
            by = outgrown.by
        )?;
    }
    for field in snapshot.json_name_clashes() {
        writeln!(out, "note: {field} has its declared name in JSON, because another field has the same JSON name")?;
    }
    for field in snapshot.contradicted_fields() {
        let (set, inner) = (field.sets().join(", "), field.inner().unwrap_or_default());
        writeln!(
            out,
            "note: {}.{} is hidden where a profile has redact_marked, because debug_redact hides a field inside its \
             type {inner} in {set}, and it is used with another type",
            field.message_type(),
            field.name(),
        )?;
    }
    for refused in snapshot.refused() {
        writeln!(out, "refused: {}", refused.reason)?;
    }
    Ok(())
}

fn to_json(snapshot: &Snapshot) -> serde_json::Value {
    let sets = snapshot.sets().iter();
    let known = snapshot.type_names().into_iter().filter_map(|name| snapshot.find(name));
    let schema_hashes = known.map(|known| (&*known.name, &*known.schema_hash));
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
        "json_name_clashes": snapshot.json_name_clashes(),
        "hidden_by_marks_inside": snapshot.contradicted_fields().iter().map(|field| json!({
            "field": format!("{}.{}", field.message_type(), field.name()),
            "type": field.inner(),
            "sets": field.sets(),
        })).collect::<Vec<_>>(),
        "schema_hashes": schema_hashes.collect::<BTreeMap<_, _>>(),
        "types": snapshot.types().into_iter().collect::<BTreeMap<_, _>>(),
    })
}

fn diff(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (old, new) = match (&args.against, &args.new) {
        (Some(url), _) => remote::versions(url, &args.old, args.set.as_deref())?,
        (None, Some(new)) => {
            let (old, new) = (snapshot(&args.old)?, snapshot(new)?);
            bail_if_refused(&old)?;
            (old, new)
        }
        (None, None) => return Err(Usage("name the old and the new version, or use --against URL").into()),
    };
    bail_if_newly_refused(old.refused(), &new)?;
    let mut changes = new.changes(&old);
    let mut router = None;
    if let Some(path) = args.config.as_deref() {
        let config = load::file(path, load::environment())?;
        let profiles = Arc::new(Profiles::new(&config.profiles));
        changes.extend(new.redaction_changes(&old, &profiles));
        router = Some(self::router(&config, profiles, &old)?);
    }
    let report = Report { router, changes };
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", json!({ "breaking": report.to_json(true), "not_breaking": report.to_json(false) }))?;
    } else {
        report.write(&mut out)?;
    }
    out.flush()?;
    match report.changes.iter().filter(|change| change.rule.is_breaking()).count() {
        0 if args.json => Ok(ExitCode::SUCCESS),
        0 => {
            writeln!(out, "no breaking changes")?;
            Ok(ExitCode::SUCCESS)
        }
        count => bail!("{count} change(s) break the consumers of the JSON"),
    }
}

/// The changes between two versions, and the customers who can receive the changed types.
struct Report {
    router: Option<Arc<Router>>,
    changes: Vec<Change>,
}

impl Report {
    fn receivers(&self, change: &Change) -> Option<Vec<&str>> {
        Some(self.router.as_ref()?.receivers(&change.message_type))
    }

    /// Returns the changes that break consumers, or those that do not.
    fn to_json(&self, is_breaking: bool) -> Vec<serde_json::Value> {
        let changes = self.changes.iter().filter(|change| change.rule.is_breaking() == is_breaking);
        let changes = changes.map(|change| {
            json!({
                "message_type": change.message_type,
                "element": change.element,
                "rule": change.rule.code(),
                "text": change.text,
                "customers": self.receivers(change),
            })
        });
        changes.collect()
    }

    fn write(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        for change in &self.changes {
            match self.receivers(change) {
                None => writeln!(out, "{change}")?,
                Some(ids) if ids.is_empty() => writeln!(out, "{change}; no customer receives it")?,
                Some(ids) => writeln!(out, "{change}; received by {}", ids.join(", "))?,
            }
        }
        Ok(())
    }
}

/// Loads the customers, to find out who receives a message type of `known`.
fn router(config: &Config, profiles: Arc<Profiles>, known: &Arc<Snapshot>) -> anyhow::Result<Arc<Router>> {
    let customers = inputs::customers(config)?;
    let routes = Routes::parse(config, &customers, profiles, Arc::clone(known)).map_err(crate::app::Error::from)?;
    Ok(routes.current())
}
