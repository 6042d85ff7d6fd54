//! `protobridge explain`: shows the outcome that a message would have, and why, step by step.

pub(in crate::cli) mod input;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use strict_config::nearest;

use super::Usage;
use super::case::{TestFile, claim_check};
use super::config_file::ConfigFile;
use crate::app::Offline;
use crate::aws::sns::publish::TopicEntry;
use crate::config::Location;
use crate::delivery::dry_run::{Answers, Forecast, Unanswered};
use crate::message::{EventId, Recipient};
use crate::schema::confluent::{SchemaEntry, Schemas};
use input::Form;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// File with the message; `-` is standard input
    #[arg(value_name = "MESSAGE FILE", default_value = "-")]
    file: PathBuf,
    /// The form of the message
    #[arg(long, value_enum, default_value_t = Form::Auto, conflicts_with_all = ["base64", "case"])]
    input: Form,
    /// The payload in base64, instead of a file
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["file", "case"])]
    base64: Option<String>,
    /// Name of a case; the file is a test file of `protobridge test`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["message_type", "queue", "attributes", "waited_seconds", "object", "schemas"])]
    case: Option<String>,
    /// Name or URL of the queue [default: the only queue]
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Full name of the message type, as the value of the type attribute
    #[arg(long = "type", value_name = "NAME")]
    message_type: Option<String>,
    /// A message attribute of the type String, in addition to those of the message; repeat the option for several
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<input::Attribute>,
    /// The time since the message was received for the first time, in seconds
    #[arg(long, value_name = "SECONDS")]
    waited_seconds: Option<u64>,
    /// File with the content of the S3 object that the message points to
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    /// A Confluent schema that only the schema registry has: its id, and the messages of its .proto file in their order;
    /// repeat the option for several
    #[arg(long = "schema", value_name = "ID=TYPE,…")]
    schemas: Vec<input::SchemaArg>,
    /// Compiled descriptor sets to use instead of those of the configuration: a folder, one file, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PATH")]
    descriptors: Option<Location>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  aws sqs receive-message --queue-url URL --visibility-timeout 0 \\
    --message-attribute-names All --message-system-attribute-names All |
    protobridge explain --config protobridge.yaml
  protobridge explain --config protobridge.yaml \\
    --type shop.v1.OrderPlaced order.bin
  protobridge explain --config protobridge.yaml \\
    --type shop.v1.OrderPlaced --base64 CgIIAQ==
  protobridge explain --config protobridge.yaml \\
    tests/orders.yaml --case 'acme gets its order'

The decisions are those of the service, with the files of the configuration. No network is used: the outcome assumes \
that SNS accepts every entry, and that no event is a duplicate of an earlier one. A message that the service would \
quarantine is explained with exit code 0.

Exit codes: 0 the message is explained, 1 it cannot be read or needs an answer, 2 wrong usage, 64 wrong configuration.";

/// Explains one message.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let offline = args.config.load_offline(args.descriptors.as_ref())?;
    let forecast = match &args.case {
        Some(name) => forecast_of_case(args, &offline, name)?,
        None => forecast_of_message(args, &offline)?,
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", to_json(&forecast))?;
    } else {
        write(&forecast, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn forecast_of_case(args: &Args, offline: &Offline, name: &str) -> anyhow::Result<Forecast> {
    if args.file.as_os_str() == "-" {
        return Err(Usage("--case requires the path of a test file").into());
    }
    let file = TestFile::load(&args.file)?;
    let Some(case) = file.cases.iter().find(|case| case.name == name) else {
        let hint = match nearest(name, file.cases.iter().map(|case| case.name.as_str())) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        bail!("{} has no case `{name}`{hint}", args.file.display());
    };
    let run = case.run(offline, file.folder());
    run.map_err(|unusable| anyhow::anyhow!("{}: {}: {}", args.file.display(), unusable.key, unusable.message))
}

fn forecast_of_message(args: &Args, offline: &Offline) -> anyhow::Result<Forecast> {
    let queue = offline.queue(args.queue.as_deref())?;
    let mut message = match &args.base64 {
        Some(text) => input::of_text(text, queue),
        None => input::read(&args.file, args.input, queue, &offline.config().envelope.payload_attribute)?,
    };
    let named = args.message_type.iter().map(|name| (offline.config().envelope.type_attribute.as_str(), name.as_str()));
    let given = args.attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_str()));
    for (name, value) in named.chain(given) {
        message.attributes.insert(name.to_owned(), input::text_attribute(value)?);
    }
    if let Some(seconds) = args.waited_seconds {
        message.first_received = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    }
    let object = args.object.as_ref().map(|path| std::fs::read(path).with_context(|| path.display().to_string()));
    let answers = Answers { any_object: object.transpose()?, ..Answers::default() };
    let schemas = schemas(args, offline)?;
    offline.forecast(&message, &answers, schemas.as_ref()).map_err(|unanswered| match unanswered {
        Unanswered::Object(_) => anyhow::anyhow!("{unanswered}; give its content with --object FILE"),
        Unanswered::Schema(id) => anyhow::anyhow!("{unanswered}; name its types with --schema {id}=TYPE,…"),
    })
}

fn schemas(args: &Args, offline: &Offline) -> anyhow::Result<Option<Schemas>> {
    if args.schemas.is_empty() {
        return Ok(None);
    }
    let entries: Vec<SchemaEntry> = args.schemas.iter().map(|schema| schema.0.clone()).collect();
    match offline.schemas_with(entries) {
        Ok(schemas) => Ok(Some(schemas?)),
        Err(problems) => {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            bail!("--schema: {}", all.join("; "))
        }
    }
}

/// Writes the steps, then each entry that is published.
fn write(forecast: &Forecast, out: &mut impl Write) -> std::io::Result<()> {
    for step in &forecast.steps {
        writeln!(out, "{:<13}{}", step.about, step.found)?;
        writeln!(out, "{:<15}{}", "", step.because)?;
    }
    for entry in &forecast.entries {
        writeln!(out)?;
        writeln!(out, "{}", entry.topic)?;
        for (name, value) in fields(entry) {
            writeln!(out, "  {name}: {value}")?;
        }
        if let Some(object) = entry.claim_check() {
            writeln!(out, "  claim check: {object}")?;
        }
        writeln!(out, "  {}", entry.json())?;
    }
    Ok(())
}

/// Returns the properties of an entry besides its topic and its JSON.
fn fields(entry: &TopicEntry) -> Vec<(&str, &str)> {
    let mut fields: Vec<(&str, &str)> = entry.attributes.iter().collect();
    fields.extend(entry.group.as_deref().map(|group| ("message group", group)));
    fields.extend(entry.deduplication_id.as_deref().map(|id| ("deduplication id", id)));
    fields
}

fn to_json(forecast: &Forecast) -> Value {
    let entry = |entry: &TopicEntry| {
        let attributes: Map<String, Value> =
            entry.attributes.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "topic": entry.topic.as_str(),
            "customer": entry.customer.as_deref(),
            "attributes": attributes,
            "group": entry.group,
            "deduplication_id": entry.deduplication_id,
            "claim_check": claim_check(entry),
            "json_text": entry.json().as_str(),
        })
    };
    let recipient =
        |Recipient { topic, customer }: &Recipient| json!({ "topic": topic.as_str(), "customer": customer.as_deref() });
    json!({
        "outcome": forecast.outcome.label().code(),
        "code": forecast.outcome.code(),
        "detail": forecast.outcome.detail(),
        "type": forecast.event_type.as_ref().map(|known| &*known.name),
        "event_id": forecast.event_id.as_ref().map(EventId::as_str),
        "steps": forecast.steps,
        "destinations": forecast.entries.iter().map(entry).collect::<Vec<_>>(),
        "delivered_before": forecast.noted.iter().map(recipient).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::case::tests::run;

    #[test]
    fn an_event_that_leaves_as_a_claim_check_shows_its_object_and_its_json() {
        let (_, forecast) = run(json!({}));
        let mut out = Vec::new();
        write(&forecast, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let about_claims = text.lines().skip_while(|line| !line.starts_with("claim check"));
        let about_claims: Vec<&str> = about_claims.filter(|line| !line.contains("schema-hash")).collect();
        insta::assert_snapshot!(about_claims.join("\n"), @r#"
        claim check  s3://acme-claims/claims/acme/2026-01-01/cc49cd8097a46513e7b78859fb678bf9d1e046bc5925a207031db4a0eb04aea5.json of 62 bytes
                       the customer has `claim_check: always`
        destination  arn:aws:sns:eu-west-1:123456789012:globex
                       the customers file has customer globex with this topic and the profile `default`
        outcome      published
                       every destination can have the event

        arn:aws:sns:eu-west-1:123456789012:acme
          event-id: e-1
          event-type: shop.v1.OrderPlaced
          customer-id: acme
          event-time: 2026-01-01T00:00:00Z
          content-type: application/json
          ExtendedPayloadSize: 62
          claim check: s3://acme-claims/claims/acme/2026-01-01/cc49cd8097a46513e7b78859fb678bf9d1e046bc5925a207031db4a0eb04aea5.json
          {"meta":{"eventId":"e-1","tenantId":"acme"},"orderId":"ord_1"}

        arn:aws:sns:eu-west-1:123456789012:globex
          event-id: e-1
          event-type: shop.v1.OrderPlaced
          customer-id: globex
          event-time: 2026-01-01T00:00:00Z
          content-type: application/json
          {"meta":{"eventId":"e-1","tenantId":"acme"},"orderId":"ord_1"}
        "#);
        let all = to_json(&forecast);
        let of_customer = |id: &str| {
            let mut all = all["destinations"].as_array().unwrap().iter();
            all.find(|entry| entry["customer"] == id).unwrap()["claim_check"].clone()
        };
        assert_eq!((of_customer("acme")["bucket"].as_str(), of_customer("globex")), (Some("acme-claims"), Value::Null));
        assert!(!all.to_string().contains("PayloadS3Pointer"));
    }
}
