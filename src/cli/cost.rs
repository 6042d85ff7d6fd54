//! `protobridge cost`: what the calls to AWS cost, by customer, event type or operation.

mod csv;
mod text;

use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::config_file::ConfigFile;
use super::counted::{Counted, write_breaks};
use super::window::Window;
use crate::store::counters::FOLDER;
use crate::store::counters::cost::{self, Basis, Stored};
use crate::store::{self, Store, journal};

/// The window without `--from` and `--to`.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Arguments of `cost`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds up the counters that all replicas wrote to `store.url`, at the prices of `prices` in the configuration. The \
minutes that begin in the window count. Money is low–high, because AWS does not document how it rounds batches up. A \
time for which a replica has no counters is named, and nothing is added for it.

Examples:
  protobridge cost --from 7d --by type
  protobridge cost --from 2026-11-01 --to 2026-12-01 --csv

Exit codes: 0 success, 1 the store does not answer or has no counters of this time, 2 wrong usage, 64 wrong \
configuration, such as no `store.url`.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    // Without options: the last 24 hours.
    #[command(flatten)]
    window: Window,
    /// The rows of the report
    #[arg(long, value_enum, default_value_t = By::Customer)]
    by: By,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV; what the counters miss goes to standard error
    #[arg(long)]
    csv: bool,
}

/// The choices of `--by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Customer,
    Type,
    Operation,
}

/// Prints the report.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (path, config) = (args.config.path()?, args.config.load()?);
    let window = args.window.range(SystemTime::now(), WINDOW)?;
    let (counted, stored) = super::runtime()?.block_on(async {
        let counted = Counted::read(&config, path, window.clone()).await?;
        let stored = stored(&counted.store, &window, config.journal.retention_days).await?;
        anyhow::Ok((counted, stored))
    })?;
    let basis = Basis {
        by: args.by.into(),
        prices: &config.prices,
        linger_ms: config.publish.linger_ms,
        max_batch_bytes: config.publish.max_batch_bytes,
        stored,
    };
    let report = counted.or_none(cost::report(&counted.minutes, window, &basis), "the cost")?;
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else if args.csv {
        csv::write(&mut out, &report)?;
        write_breaks(&mut anstream::stderr().lock(), &report.coverage, text::UNKNOWN)?;
    } else {
        text::write(&mut out, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts the objects that the replicas wrote to S3 in the window; `None` for a folder, which costs no request.
async fn stored(store: &Store, window: &Range<i64>, kept_days: u32) -> Result<Option<Stored>, store::Error> {
    if store.is_folder() {
        return Ok(None);
    }
    let (objects, bytes) = written(store, window).await?;
    Ok(Some(Stored { objects, bytes, kept_days }))
}

/// Counts the objects that were written in the window, and their bytes. An object is in the folder of the hour in which it
/// begins, and can be written a little later.
async fn written(store: &Store, window: &Range<i64>) -> Result<(u64, u64), store::Error> {
    const HOUR: i64 = 3_600_000_000;
    let (mut objects, mut bytes) = (0, 0);
    for hour in (window.start - HOUR).div_euclid(HOUR)..=(window.end - 1).div_euclid(HOUR) {
        let begin = jiff::Timestamp::from_microsecond(hour * HOUR).unwrap_or_default();
        for root in [FOLDER, journal::FOLDER] {
            let listed = store.list(&format!("{root}/{}", begin.strftime("date=%Y-%m-%d/hour=%H"))).await?;
            for object in listed.iter().filter(|object| window.contains(&micros(object.modified))) {
                objects += 1;
                bytes += object.size;
            }
        }
    }
    Ok((objects, bytes))
}

fn micros(time: SystemTime) -> i64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

impl From<By> for cost::By {
    fn from(by: By) -> Self {
        match by {
            By::Customer => Self::Customer,
            By::Type => Self::Type,
            By::Operation => Self::Operation,
        }
    }
}

#[cfg(test)]
mod tests;
