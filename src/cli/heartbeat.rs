//! `protobridge heartbeat`: sends one heartbeat, for sources whose producers send none.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::Usage;
use super::config_file::ConfigFile;
use crate::aws::Clients;
use crate::base::http::Network;
use crate::base::time::rfc3339;
use crate::config::{Config, Framing, Queue};
use crate::schema::registry::{HEARTBEAT, wire_from_json};

/// Arguments of `heartbeat`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Sends a protobridge.v1.Heartbeat with the credentials of this machine, which must allow sqs:SendMessage. Run it every \
minute beside the producer, as a job that stops when the producer stops. A heartbeat that travels through the database \
says more; docs/operations.md shows one.

Example, in a crontab:
  * * * * * protobridge heartbeat --source eu-1 --config /etc/protobridge.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// The name of the source, which stays the same across restarts
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    source: String,
    /// The name or the URL of the queue; required if the configuration has several
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// The time until the next heartbeat, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    interval: u32,
    /// The number of this heartbeat, which grows by one with each; without it, lost heartbeats are not found
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
}

/// Sends the heartbeat, and prints its message id.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let queue = queue(&config, args.queue.as_deref())?;
    let payload = payload(args, SystemTime::now())?;
    let network = Network::of_environment()?;
    let id = super::runtime()?.block_on(async {
        let clients = Clients::new(&config.aws, network).await;
        send(&clients, &config, queue, &args.source, &payload).await
    })?;
    println!("sent heartbeat of {} to {} as {id}", args.source, queue.label());
    Ok(ExitCode::SUCCESS)
}

/// Returns the queue to send to.
fn queue<'c>(config: &'c Config, name: Option<&str>) -> anyhow::Result<&'c Queue> {
    let queue = match (name, config.queues.as_slice()) {
        (None, [queue]) => queue,
        (None, _) => return Err(Usage("the configuration has several queues; name one with --queue").into()),
        (Some(name), queues) => {
            let found = queues.iter().find(|queue| queue.label() == name || queue.url == name);
            found.with_context(|| format!("the configuration has no queue {name}"))?
        }
    };
    match queue.framing {
        Framing::None | Framing::Delimited => Ok(queue),
        _ => bail!(
            "queue {} has another framing than `none` or `delimited`, which this command cannot write; let the \
             producer send the heartbeat",
            queue.label()
        ),
    }
}

fn payload(args: &Args, now: SystemTime) -> anyhow::Result<Vec<u8>> {
    let heartbeat = json!({
        "source": args.source,
        "sequence": args.sequence.unwrap_or(0).to_string(),
        "sentAt": rfc3339(now),
        "interval": format!("{}s", args.interval),
    });
    wire_from_json(HEARTBEAT, heartbeat.to_string().as_bytes()).context("the heartbeat")
}

async fn send(
    clients: &Clients,
    config: &Config,
    queue: &Queue,
    source: &str,
    payload: &[u8],
) -> anyhow::Result<String> {
    let mut framed = Vec::with_capacity(payload.len() + 2);
    if queue.framing == Framing::Delimited {
        prost::encoding::encode_varint(payload.len() as u64, &mut framed);
    }
    framed.extend(payload);
    let message_type = MessageAttributeValue::builder().data_type("String").string_value(HEARTBEAT).build()?;
    let mut call = clients.sqs.send_message().queue_url(&queue.url).message_body(BASE64_STANDARD.encode(framed));
    call = call.message_attributes(&config.envelope.type_attribute, message_type);
    if queue.url.ends_with(".fifo") {
        // A group of its own, so that no event waits for a heartbeat.
        let id = format!("{:032x}", fastrand::u128(..));
        call = call.message_group_id(format!("heartbeat-{:016x}", hash(source))).message_deduplication_id(id);
    }
    let sent = call.send().await.map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(error)));
    let sent = sent.with_context(|| format!("cannot send to {}", queue.url))?;
    Ok(sent.message_id().unwrap_or("a message without an id").to_owned())
}

/// Returns a hash of the source's name, because a message group has a smaller alphabet.
fn hash(source: &str) -> u64 {
    source.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Descriptors;
    use crate::schema::registry::{ProfileId, Profiles, Registry};

    fn args(sequence: Option<u64>) -> Args {
        use clap::Parser as _;
        #[derive(Debug, clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: Args,
        }
        let number = sequence.map(|number| format!("--sequence={number}"));
        Command::parse_from(["x", "--source", "eu", "--interval", "30"].into_iter().chain(number.as_deref())).args
    }

    #[test]
    fn the_payload_is_a_heartbeat_with_these_values() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb").into();
        let sets = Descriptors { path, ..Descriptors::default() };
        let profiles = std::sync::Arc::new(Profiles::new(&Default::default()));
        let snapshot = Registry::load(&sets, &crate::config::Taps::default(), profiles).unwrap().current();
        let json = |sequence| {
            let (payload, mut json) = (payload(&args(sequence), SystemTime::UNIX_EPOCH).unwrap(), Vec::new());
            snapshot.find(HEARTBEAT).unwrap().plan(ProfileId::default()).transcode(&payload, &mut json).unwrap();
            String::from_utf8(json).unwrap()
        };
        let expected = r#"{"source":"eu","sequence":"7","sentAt":"1970-01-01T00:00:00Z","interval":"30s"}"#;
        assert_eq!(json(Some(7)), expected);
        assert_eq!(json(None), expected.replace(r#""sequence":"7","#, ""));
    }

    #[test]
    fn the_queue_is_named_if_there_are_several() {
        let queue = |name: &str, framing| Queue { url: format!("https://h/1/{name}"), framing, ..Queue::default() };
        let mut config = Config { queues: vec![queue("a", Framing::None)], ..Config::default() };
        assert_eq!(super::queue(&config, None).unwrap().label(), "a");
        config.queues.push(queue("b", Framing::Any));
        let error = |name| super::queue(&config, name).unwrap_err().to_string();
        assert!(error(None).contains("--queue") && error(Some("c")).contains("has no queue c"));
        assert!(error(Some("b")).contains("queue b has another framing"));
        assert_eq!(super::queue(&config, Some("https://h/1/a")).unwrap().label(), "a");
    }
}
