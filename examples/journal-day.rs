//! Writes a journal as a busy service does, and measures look-ups in it.
//!
//! ```text
//! cargo run --release --example journal-day -- write --folder F --rate 60000 --seconds 60 --sample ids.jsonl
//! cargo run --release --example journal-day -- measure --folder F < ids.jsonl
//! cargo run --example journal-day -- find --folder F < ids.jsonl > rows.jsonl
//! ```
//!
//! `write` uses the service's own journal and its writer, with the clock of this machine. A rate above that of a
//! service makes the segments of a longer time. A smaller `--segment-bytes` makes more segments with fewer rows.

// The program measures real time, and its one thread has nothing else to do while it waits.
#![allow(clippy::disallowed_methods)]

use std::error::Error;
use std::io::{BufRead as _, BufWriter, Write as _, stdin, stdout};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand, ValueEnum};
use futures_util::StreamExt as _;
use protobridge::config;
use protobridge::store::Store;
use protobridge::store::journal::{Declaration, FOLDER, Journal, Looked, Reader, Row, Wanted, Writer};
use protobridge::telemetry::Metrics;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes segments at a steady rate
    Write(WriteArgs),
    /// Answers the events on standard input, in their order, as lines of JSON
    Find(Place),
    /// Measures look-ups of ids on standard input, and of one that no row has
    Measure(Place),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The folder of the store
    #[arg(long)]
    folder: PathBuf,
}

#[derive(Debug, clap::Args)]
struct WriteArgs {
    #[command(flatten)]
    place: Place,
    /// The events per second
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    seconds: u32,
    /// `journal.segment_bytes`
    #[arg(long, default_value_t = 16 * 1024 * 1024)]
    segment_bytes: usize,
    /// The kind of the event ids
    #[arg(long, value_enum, default_value_t = Ids::Random)]
    ids: Ids,
    /// A new file with the ids of a sample of the events, as lines of JSON
    #[arg(long)]
    sample: PathBuf,
    /// The number of events in the sample
    #[arg(long, default_value_t = 1_000)]
    sample_size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Ids {
    /// UUIDs of version 4
    Random,
    /// UUIDs of version 7, which begin with the time
    Ordered,
}

/// The ids of an event, and when it was settled, in microseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    event: String,
    message: String,
    sns_message: Option<String>,
    settled_at: i64,
}

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Args::parse().command {
        Command::Write(args) => runtime.block_on(write(args)),
        Command::Find(place) => runtime.block_on(find(&place.folder)),
        Command::Measure(place) => runtime.block_on(measure(&place.folder)),
    }
}

/// Records rows at the rate, and stores them as the service does.
async fn write(args: WriteArgs) -> Done {
    let store = Store::folder(args.place.folder.clone())?;
    let settings = config::Journal { segment_bytes: args.segment_bytes, ..config::Journal::default() };
    let metrics = Arc::new(Metrics::new(false));
    let (journal, writer) = Writer::new(store.clone(), &settings, "pod-a".to_owned(), &metrics);
    let writing = tokio::spawn(writer.run());
    let recording = Arc::clone(&journal);
    let recorded = tokio::task::spawn_blocking(move || record(&recording, &args));
    recorded.await?.map_err(|error| format!("cannot write the sample: {error}"))?;
    journal.stop();
    writing.await?;
    report(&store).await
}

/// Records the rows of each millisecond at its end.
fn record(journal: &Journal, args: &WriteArgs) -> std::io::Result<()> {
    let mut sample = BufWriter::new(std::fs::File::create_new(&args.sample)?);
    let total = u64::from(args.rate) * u64::from(args.seconds);
    let every = (total / args.sample_size).max(1);
    let begun = Instant::now();
    let mut random = fastrand::Rng::with_seed(18);
    let mut recorded = 0;
    while recorded < total {
        let due = (begun.elapsed().as_secs_f64() * f64::from(args.rate)) as u64;
        for number in recorded..due.min(total) {
            let event = record_one(journal, args.ids, number, &mut random);
            if number % every == 0 {
                serde_json::to_writer(&mut sample, &event)?;
                sample.write_all(b"\n")?;
            }
        }
        recorded = due.min(total);
        std::thread::sleep(Duration::from_millis(1));
    }
    sample.flush()
}

const TYPES: [&str; 6] =
    ["OrderPlaced", "OrderShipped", "PaymentCaptured", "PaymentFailed", "StockChanged", "UserUpdated"];

/// Records the row of an event: 97 of 100 are published, the others are duplicates, filtered or quarantined.
fn record_one(journal: &Journal, ids: Ids, number: u64, random: &mut fastrand::Rng) -> Sample {
    let settled_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
    let event = match ids {
        Ids::Random => uuid(random),
        Ids::Ordered => Builder::from_unix_timestamp_millis(settled_at as u64 / 1_000, &bytes(random)).into_uuid(),
    };
    let (event, message, sns) = (event.to_string(), uuid(random).to_string(), uuid(random).to_string());
    // Few customers have most of the events.
    let customer = format!("customer-{:03}", (random.f64().powi(3) * 300.0) as u32);
    let topic = format!("arn:aws:sns:eu-west-1:123456789012:json-events-{customer}");
    let event_type = format!("shop.v1.{}", TYPES[random.usize(..TYPES.len())]);
    let detail = format!("shop.v1.{number}: \"field\" 'tags' is not UTF-8 \u{2014} \u{65e5}\u{672c}\n");
    let received_at = settled_at - random.i64(5_000..30_000);
    let row = Row {
        event_id: Some(event.as_str()),
        event_type: Some(&event_type),
        queue: "events",
        message_id: &message,
        receive_count: 1,
        sent_at: (received_at - random.i64(1_000..900_000)) / 1_000 * 1_000,
        received_at,
        settled_at,
        schema_hash: Some("7d1f0c2ab94e55d3"),
        replica: journal.replica(),
        ..Row::default()
    };
    let to_topic = Row { customer: Some(&*customer), topic: Some(&*topic), ..row.clone() };
    let published_at = Some(settled_at - 900);
    let (attempts, throttles) = (Some(1), Some(0));
    let published = Row {
        outcome: "published",
        published_at,
        attempts,
        throttles,
        sns_message_id: Some(&*sns),
        ..to_topic.clone()
    };
    let is_published = number % 100 < 97;
    match number % 100 {
        97 => journal.record(&Row {
            outcome: "duplicate",
            duplicate_cause: Some("producer"),
            first_message_id: Some(&sns),
            receive_count: 2,
            ..to_topic
        }),
        98 => journal.record(&Row { outcome: "filtered", reason: Some("without_customer"), ..row }),
        99 => journal.record(&Row {
            event_id: None,
            outcome: "quarantined",
            reason: Some("bad_payload"),
            detail: Some(&detail),
            redrive: true,
            ..row
        }),
        _ => journal.record(&published),
    }
    Sample { event, message, sns_message: is_published.then_some(sns), settled_at }
}

fn bytes<const N: usize>(random: &mut fastrand::Rng) -> [u8; N] {
    std::array::from_fn(|_| random.u8(..))
}

fn uuid(random: &mut fastrand::Rng) -> Uuid {
    Builder::from_random_bytes(bytes(random)).into_uuid()
}

/// Prints what the segments of a store have.
async fn report(store: &Store) -> Done {
    let objects = store.list(FOLDER).await?;
    let declared: Vec<Declaration> = objects.iter().filter_map(|object| Declaration::of_key(&object.key)).collect();
    let (rows, bytes) =
        (declared.iter().map(|one| one.rows).sum::<u64>(), objects.iter().map(|one| one.size).sum::<u64>());
    let with_rows = declared.iter().filter(|one| one.rows > 0).count();
    let dropped: u64 = declared.iter().map(|one| one.dropped).sum();
    println!("{} segments, {with_rows} with rows; {rows} rows, {dropped} dropped; {bytes} bytes", declared.len());
    Ok(())
}

fn samples() -> Result<Vec<Sample>, Box<dyn Error>> {
    stdin().lock().lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// Prints, for each event of the sample, its rows by event id, and for one of seven those by SQS message id. The window
/// is a tenth of a second, so that few segments are read.
async fn find(folder: &Path) -> Done {
    let reader = Reader::new(Store::folder(folder.to_owned())?);
    let searches = samples()?.into_iter().enumerate().map(|(number, Sample { event, message, settled_at, .. })| {
        let reader = &reader;
        async move {
            let window = settled_at - 50_000..settled_at + 50_000;
            let by_event = reader.find(&Wanted::Event(event.clone()), window.clone()).await?.rows;
            let by_message = match number % 7 {
                0 => Some(reader.find(&Wanted::Message(message.clone()), window).await?.rows),
                _ => None,
            };
            Ok::<_, protobridge::store::journal::Error>(serde_json::json!({
                "event": event, "message": message, "by_event": by_event, "by_message": by_message,
            }))
        }
    });
    let mut searches = futures_util::stream::iter(searches).buffered(4);
    let mut out = BufWriter::new(stdout().lock());
    while let Some(found) = searches.next().await {
        serde_json::to_writer(&mut out, &found?)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// The look-ups of one kind.
#[derive(Debug, Default)]
struct Measured {
    looked: Vec<Looked>,
    times: Vec<Duration>,
    /// The look-ups that found a row.
    found: usize,
}

/// Looks up the ids of the sample over the time of the whole journal, and prints what a look-up reads.
async fn measure(folder: &Path) -> Done {
    let reader = Reader::new(Store::folder(folder.to_owned())?);
    let samples = samples()?;
    let times = samples.iter().map(|sample| sample.settled_at);
    let window = times.clone().min().unwrap_or(0) - 60_000_000..times.max().unwrap_or(0) + 60_000_000;
    let random = &mut fastrand::Rng::with_seed(81);
    let absent: Vec<Wanted> = samples.iter().map(|_| Wanted::Event(uuid(random).to_string())).collect();
    let absent_sns: Vec<Wanted> = samples.iter().map(|_| Wanted::SnsMessage(uuid(random).to_string())).collect();
    let kinds = [
        ("event id", samples.iter().map(|sample| Wanted::Event(sample.event.clone())).collect()),
        ("SQS message id", samples.iter().map(|sample| Wanted::Message(sample.message.clone())).collect()),
        ("SNS message id", samples.iter().filter_map(|one| one.sns_message.clone()).map(Wanted::SnsMessage).collect()),
        ("event id without a row", absent),
        ("SNS message id without a row", absent_sns),
    ];
    println!(
        "id | look-ups | found | segments, empty ones included | ranges per segment | bytes per segment | ms (median)"
    );
    for (name, ids) in kinds {
        let measured = look_up(&reader, ids, &window).await?;
        print(name, measured);
    }
    Ok(())
}

async fn look_up(reader: &Reader, ids: Vec<Wanted>, window: &Range<i64>) -> Result<Measured, Box<dyn Error>> {
    let mut measured = Measured::default();
    for wanted in ids {
        let begun = Instant::now();
        let found = reader.find(&wanted, window.clone()).await?;
        measured.times.push(begun.elapsed());
        measured.found += usize::from(!found.rows.is_empty());
        measured.looked.push(found.looked);
    }
    Ok(measured)
}

fn print(name: &str, Measured { looked, mut times, found }: Measured) {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let sum = |of: fn(&Looked) -> u64| looked.iter().map(of).sum::<u64>() as f64;
    let segments = sum(|looked| looked.segments);
    println!(
        "{name} | {} | {found} | {} | {:.3} | {:.0} | {:.1}",
        looked.len(),
        segments as usize / looked.len().max(1),
        sum(|looked| looked.ranges) / segments,
        sum(|looked| looked.bytes) / segments,
        median.as_secs_f64() * 1_000.0
    );
}
