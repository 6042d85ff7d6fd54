//! `protobridge schema`: describes the JSON that consumers receive, as a JSON Schema or an AsyncAPI document.

use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;

use anyhow::bail;
use protojson::Additions;
use serde_json::Value;
use strict_config::nearest;

use super::Usage;
use super::config_file::ConfigFile;
use super::inputs;
use super::profile::{ProfileChoice, find_customer, hint};
use crate::config::{Config, Location};
use crate::route::catalog::asyncapi::{self, Subject};
use crate::route::{Customer, Glob, Router};
use crate::schema::registry::{Profiles, Snapshot};

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
  protobridge schema json-schema --config protobridge.yaml \\
    --type shop.v1.OrderPlaced --profile web
  protobridge schema json-schema --descriptors descriptors \\
    --type shop.v1.OrderPlaced --profile int64=number";

const ASYNCAPI_EXAMPLES: &str = "\
Examples:
  protobridge schema asyncapi --config protobridge.yaml > asyncapi.yaml
  protobridge schema asyncapi --config protobridge.yaml --customer acme \\
    --json > acme.json

All operations are `send`, because the document describes protobridge: protobridge sends, and the subscribers of a topic \
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
    // The file has the descriptor sets and the profiles.
    #[command(flatten)]
    config: ConfigFile,
    /// Compiled descriptor sets to use instead of those of the configuration: a folder, one file, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PATH")]
    descriptors: Option<Location>,
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

#[derive(Debug, clap::Args)]
struct AsyncapiArgs {
    #[command(flatten)]
    config: ConfigFile,
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
    let config = match &args.descriptors {
        // Sets that are named alone must not depend on the folder that the command runs in.
        Some(_) if !args.config.is_named() => None,
        None if args.config.if_present().is_none() => {
            return Err(Usage("use --config FILE or --descriptors PATH; this folder has no protobridge.yaml").into());
        }
        _ => Some(args.config.load()?),
    };
    let configured = config.as_ref().map(|config| config.profiles.clone()).unwrap_or_default();
    let (profiles, profile) = args.profile.among(&configured, config.is_some())?;
    let (mut sets, aws) = config.map(|config| (config.descriptors, config.aws)).unwrap_or_default();
    if let Some(place) = &args.descriptors {
        sets.path.clone_from(place);
    }
    let snapshot = inputs::registry(&sets, &aws, Arc::new(profiles))?.current();
    match snapshot.find(&args.message_type) {
        Some(known) => Ok(known.json_schema(profile, args.form.additions())),
        None => bail!(
            "no descriptor set in {} defines the message type {}{}",
            sets.path,
            args.message_type,
            hint(nearest(&args.message_type, snapshot.type_names()), "`protobridge descriptors list` shows all types")
        ),
    }
}

fn asyncapi(args: &AsyncapiArgs) -> anyhow::Result<Value> {
    let config = args.config.load()?;
    let loaded = inputs::load(&config)?;
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
    let customer = find_customer(router, id, config)?;
    if !customer.enabled {
        bail!("customer {id} is disabled, so protobridge publishes nothing for it");
    }
    Ok(vec![customer])
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

fn print(value: &Value, as_json: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if as_json {
        writeln!(out, "{value:#}")?;
    } else {
        out.write_all(serde_saphyr::to_string(value)?.as_bytes())?;
    }
    Ok(out.flush()?)
}
