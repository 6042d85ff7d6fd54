//! `protobridge schema`: describes the JSON that consumers receive, as a JSON Schema or an AsyncAPI document.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::bail;
use protojson::Additions;
use serde_json::Value;
use strict_config::nearest;

use super::Usage;
use super::transcode::ProfileArg;
use crate::app::Loaded;
use crate::config::{Config, Profile, Taps, load};
use crate::route::catalog::asyncapi::{self, Subject};
use crate::route::{Customer, Glob, Router};
use crate::schema::registry::{ProfileId, Profiles, Registry, Snapshot};

/// Arguments of `protobridge schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the JSON Schema (2020-12) of a message type in a profile
    ///
    /// All JSON that protobridge publishes for this type in this profile is valid against the schema, and so is JSON with
    /// fields and enum values that a newer version of the type adds. Comments in the .proto files become descriptions if
    /// the descriptor sets were compiled with source info. Definitions have the full name of their type, with _ for dots.
    #[command(after_help = JSON_SCHEMA_EXAMPLES)]
    JsonSchema(JsonSchemaArgs),
    /// Print the AsyncAPI 3.0 document of the customers' topics
    ///
    /// The document has one channel per topic of an enabled customer. The channel lists the events that the customer
    /// receives, each with its JSON Schema in the customer's profile, its message attributes and an example. A message
    /// type is an event if no other message type contains it, or if the configuration or the customers file names it
    /// without a wildcard.
    #[command(after_help = ASYNCAPI_EXAMPLES)]
    Asyncapi(AsyncapiArgs),
}

const JSON_SCHEMA_EXAMPLES: &str = "\
Examples:
  protobridge schema json-schema --config protobridge.yaml --type shop.v1.OrderPlaced --profile web
  protobridge schema json-schema --descriptors descriptors --type shop.v1.OrderPlaced --profile int64=number";

const ASYNCAPI_EXAMPLES: &str = "\
Examples:
  protobridge schema asyncapi --config protobridge.yaml > asyncapi.yaml
  protobridge schema asyncapi --config protobridge.yaml --customer acme --json > acme.json

All operations are `send`, because the document describes protobridge: protobridge sends, and the subscribers of a topic
receive.";

#[derive(Debug, clap::Args)]
struct JsonSchemaArgs {
    /// Full name of the message type, such as shop.v1.OrderPlaced
    #[arg(long = "type", value_name = "NAME")]
    message_type: String,
    /// The name of a profile in the configuration, or settings as in `transcode`, such as
    /// field-names=proto,int64=number
    #[arg(long, value_name = "PROFILE", default_value = "default")]
    profile: ProfileChoice,
    /// Configuration file (YAML) with the descriptor sets and the profiles
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Compiled descriptor sets to use instead of those of the configuration: a folder, or one file
    #[arg(long, value_name = "PATH")]
    descriptors: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, clap::Args)]
struct Form {
    /// Refuse fields and enum values that this version of the type does not have; for tests, not for consumers
    #[arg(long)]
    closed: bool,
}

impl Form {
    fn additions(&self) -> Additions {
        if self.closed { Additions::Refused } else { Additions::Accepted }
    }
}

/// A profile, either by its name in the configuration or spelled out.
#[derive(Debug, Clone)]
enum ProfileChoice {
    Named(String),
    SpelledOut(Profile),
}

impl FromStr for ProfileChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('=') {
            return Ok(Self::SpelledOut(ProfileArg::from_str(text)?.0));
        }
        Ok(Self::Named(text.to_owned()))
    }
}

#[derive(Debug, clap::Args)]
struct AsyncapiArgs {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: PathBuf,
    /// Describe only the topic of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Message types that are events; globs are allowed; repeat the option for several
    #[arg(long, value_name = "GLOB")]
    events: Vec<String>,
    /// Print JSON instead of YAML
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    form: Form,
}

/// Prints the requested document.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::JsonSchema(args) => print(&json_schema(args)?, true),
        Command::Asyncapi(args) => print(&asyncapi(args)?, args.json),
    }
}

fn json_schema(args: &JsonSchemaArgs) -> anyhow::Result<Value> {
    let config = match (&args.config, &args.descriptors) {
        (Some(config), _) => Some(load::file(config, load::environment())?),
        (None, Some(_)) => None,
        (None, None) => return Err(Usage("use --config FILE or --descriptors PATH").into()),
    };
    let mut configured = config.as_ref().map(|config| config.profiles.clone()).unwrap_or_default();
    let name = match &args.profile {
        ProfileChoice::Named(name) => name,
        ProfileChoice::SpelledOut(profile) => {
            configured.insert("default".to_owned(), profile.clone());
            "default"
        }
    };
    let profiles = Profiles::new(&configured);
    let profile = find_profile(&profiles, name, config.is_some())?;
    let mut sets = config.map(|config| config.descriptors).unwrap_or_default();
    if let Some(path) = &args.descriptors {
        sets.path.clone_from(path);
    }
    let snapshot = Registry::load(&sets, &Taps::default(), Arc::new(profiles))?.current();
    match snapshot.find(&args.message_type) {
        Some(known) => Ok(known.json_schema(profile, args.form.additions())),
        None => bail!(
            "no descriptor set in {} defines the message type {}{}",
            sets.path.display(),
            args.message_type,
            hint(nearest(&args.message_type, snapshot.type_names()), "`protobridge descriptors list` shows all types")
        ),
    }
}

fn find_profile(profiles: &Profiles, name: &str, is_configured: bool) -> anyhow::Result<ProfileId> {
    if let Some(known) = profiles.find(name) {
        return Ok(known);
    }
    if !is_configured {
        bail!(
            "a profile name such as {name} requires a configuration; use --config FILE, or spell the profile out as KEY=VALUE,…"
        );
    }
    let known = || profiles.names().iter().map(String::as_str);
    let all = format!("the configuration has: {}", known().collect::<Vec<_>>().join(", "));
    bail!("there is no profile {name}{}", hint(nearest(name, known()), &all))
}

fn asyncapi(args: &AsyncapiArgs) -> anyhow::Result<Value> {
    let config = load::file(&args.config, load::environment())?;
    let loaded = Loaded::load(&config)?;
    let snapshot = loaded.registry.current();
    let router = loaded.routes.current();
    let subject = Subject {
        snapshot: &snapshot,
        profiles: &Profiles::new(&config.profiles),
        customers: customers(&router, args.customer.as_deref(), &config)?,
        event_types: event_types(&snapshot, &router, &config, &args.events)?,
        endpoint: config.aws.sns_endpoint_url.as_deref().or(config.aws.endpoint_url.as_deref()),
        additions: args.form.additions(),
    };
    Ok(asyncapi::document(&subject))
}

/// Returns the enabled customers, sorted by id, or only the customer `named`.
fn customers(router: &Router, named: Option<&str>, config: &Config) -> anyhow::Result<Vec<Arc<Customer>>> {
    let all = || router.customers().filter(|customer| customer.enabled);
    let Some(id) = named else {
        let mut customers: Vec<Arc<Customer>> = all().cloned().collect();
        customers.sort_by(|a, b| a.id.cmp(&b.id));
        return Ok(customers);
    };
    match router.customers().find(|customer| &*customer.id == id) {
        Some(customer) if customer.enabled => Ok(vec![Arc::clone(customer)]),
        Some(_) => bail!("customer {id} is disabled, so protobridge publishes nothing for it"),
        None => bail!(
            "{} has no customer {id}{}",
            config.route.customers_file.display(),
            hint(nearest(id, all().map(|customer| &*customer.id)), "its `id:` lines name the customers")
        ),
    }
}

fn event_types<'s>(
    snapshot: &'s Snapshot,
    router: &Router,
    config: &Config,
    globs: &[String],
) -> anyhow::Result<Vec<&'s str>> {
    if globs.is_empty() {
        return Ok(asyncapi::event_types(snapshot, router, config));
    }
    let types = snapshot.type_names();
    for glob in globs {
        if !types.iter().any(|name| Glob::new(glob).matches(name)) {
            let hint = hint(nearest(glob, types.iter().copied()), "`protobridge descriptors list` shows all types");
            bail!("--events {glob} matches no known message type{hint}");
        }
    }
    let globs: Vec<Glob> = globs.iter().map(|glob| Glob::new(glob)).collect();
    Ok(types.into_iter().filter(|name| globs.iter().any(|glob| glob.matches(name))).collect())
}

/// Returns the end of an error message about an unknown name: the nearest known name, or else some other advice.
fn hint(nearest: Option<&str>, otherwise: &str) -> String {
    match nearest {
        Some(known) => format!("; did you mean {known}?"),
        None => format!("; {otherwise}"),
    }
}

fn print(value: &Value, as_json: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if as_json {
        writeln!(out, "{value:#}")?;
    } else {
        out.write_all(serde_saphyr::to_string(value)?.as_bytes())?;
    }
    Ok(out.flush()?)
}
