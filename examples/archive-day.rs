//! Writes an archive of messages that another program made up.
//!
//! ```text
//! make-messages | cargo run --example archive-day -- --folder F --replicas 2
//! ```
//!
//! Standard input has a message per line, in JSON, with the names and the values of the archive's columns; `body` is
//! the text that the producer sent. Each replica has a segment per second, and stops in order at the end.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::stdin;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use protobridge::config;
use protobridge::message::{EventId, Message, OutcomeLabel, Queue};
use protobridge::store::Store;
use protobridge::store::archive::{Declaration, Row, write};
use serde::Deserialize;
use tokio::time::Instant;

const SECOND: i64 = 1_000_000;

#[derive(Debug, Parser)]
struct Args {
    /// The folder of the store
    #[arg(long)]
    folder: PathBuf,
    /// The number of replicas that receive the messages in turn
    #[arg(long, default_value_t = 1)]
    replicas: usize,
}

/// A message as a line of JSON has it.
#[derive(Debug, Deserialize)]
struct Line {
    queue: String,
    message_id: String,
    receive_count: u32,
    sent_at: i64,
    first_received_at: i64,
    received_at: i64,
    settled_at: i64,
    group: Option<String>,
    dedup_id: Option<String>,
    sequence_number: Option<String>,
    trace_header: Option<String>,
    body: String,
    attributes: HashMap<String, Attribute>,
    event_id: Option<String>,
    event_type: Option<String>,
    customer: Option<String>,
    schema_hash: Option<String>,
    outcome: String,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    r#type: String,
    value: Option<String>,
    base64: Option<String>,
}

type Done<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let args = Args::parse();
    let store = Store::folder(args.folder)?;
    let mut replicas: Vec<BTreeMap<i64, Vec<Row>>> = vec![BTreeMap::new(); args.replicas];
    for (line, replica) in stdin().lines().zip((0..args.replicas).cycle()) {
        let row = row(serde_json::from_str(&line?)?)?;
        replicas[replica].entry(row.settled_at.div_euclid(SECOND)).or_default().push(row);
    }
    for (seconds, replica) in replicas.into_iter().zip(0..) {
        store_segments(&store, seconds, replica).await?;
    }
    Ok(())
}

/// Stores the segments of one replica, without a break between them.
async fn store_segments(store: &Store, seconds: BTreeMap<i64, Vec<Row>>, replica: usize) -> Done {
    let ends: Vec<i64> = seconds.keys().skip(1).copied().chain(seconds.keys().last().map(|last| last + 1)).collect();
    let count = seconds.len();
    for (((from, rows), to), number) in seconds.into_iter().zip(ends).zip(0..) {
        let oldest = rows.iter().map(|row| row.position().sent_at).min();
        let declaration = Declaration {
            replica: format!("pod-{replica}"),
            incarnation: format!("{replica:016x}"),
            number,
            from: from * SECOND,
            to: to * SECOND,
            next_by: (to + 120) * SECOND,
            oldest: oldest.unwrap_or(from * SECOND),
            rows: rows.len() as u64,
            lost: 0,
            is_last: number + 1 == count as u64,
        };
        store.put(&declaration.key(), write(&rows, &declaration, &[])?).await?;
    }
    Ok(())
}

fn row(line: Line) -> Done<Row> {
    let mut attributes = HashMap::new();
    for (name, Attribute { r#type, value, base64 }) in line.attributes {
        let bytes = base64.map(|text| STANDARD.decode(text)).transpose()?;
        let value = MessageAttributeValue::builder()
            .data_type(r#type)
            .set_string_value(value)
            .set_binary_value(bytes.map(Blob::new))
            .build()?;
        attributes.insert(name, value);
    }
    let url = format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{}", line.queue);
    let queue = config::Queue { url, ..config::Queue::default() };
    let message = Message {
        queue: Arc::new(Queue::from(&queue)),
        message_id: line.message_id,
        body: line.body,
        attributes,
        sent: time(line.sent_at),
        first_received: time(line.first_received_at),
        received: Instant::now(),
        receive_count: line.receive_count,
        group: line.group,
        deduplication_id: line.dedup_id,
        sequence_number: line.sequence_number,
        trace_header: line.trace_header,
    };
    let outcome = OutcomeLabel::ALL.into_iter().find(|outcome| outcome.code() == line.outcome);
    Ok(Row {
        message: Arc::new(message),
        received_at: line.received_at,
        settled_at: line.settled_at,
        outcome: outcome.ok_or("the outcome is not known")?,
        event_id: line.event_id.as_deref().map(EventId::new),
        event_type: line.event_type.map(Into::into),
        customer: line.customer.map(Into::into),
        schema_hash: line.schema_hash.map(Into::into),
    })
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs())
}
