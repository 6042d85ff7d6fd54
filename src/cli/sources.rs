//! `protobridge sources`: the state of each source, as far as all replicas know together.

mod combine;
mod missing;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::Usage;
use super::config_file::ConfigFile;
use super::healthcheck::reachable;
use crate::app::admin::KnownSources;
use crate::base::http::{Http, Network};
use crate::config::load;
use combine::{Combined, combine};

/// The longest time for one answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The largest page `/status` in bytes.
const MAX_PAGE: usize = 64 << 20;

/// Arguments of `sources`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each replica receives a part of the heartbeats, so name the admin endpoints of all replicas. Without --admin, the \
command asks the endpoint that `admin.listen` of the configuration file names, or port 8080 of this machine.

States: unknown (not heard since the start), flowing (heartbeats and events), quiet (heartbeats, no events), stale \
(down or cut off), late (protobridge is behind, and cannot judge).

If the replicas share a Redis, the column MISSING counts the heartbeats that no replica received, and lines below the \
table name them.

Example:
  protobridge sources --admin http://10.0.0.7:8080 --admin http://10.0.0.8:8080

Exit codes: 0 success, 1 an endpoint does not answer, 2 wrong usage, 64 wrong configuration.")]
pub(super) struct Args {
    // The file's `admin.listen` names the endpoint.
    #[command(flatten)]
    config: ConfigFile,
    /// URL of the admin endpoint of a replica, such as http://localhost:8080; repeat the option for several replicas
    #[arg(long, value_name = "URL")]
    admin: Vec<Uri>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The part of the page `/status` that this command reads.
#[derive(Debug, Deserialize)]
struct Page {
    sources: KnownSources,
}

/// Prints one line per source.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let endpoints = endpoints(args)?;
    let http = Network::of_environment()?.client(ANSWER, ANSWER);
    let answers: Vec<anyhow::Result<KnownSources>> = super::runtime()?.block_on(async {
        // All at once, so that replicas that hang delay the others once and not one after the other.
        let ask_one = |endpoint: String| {
            let http = http.clone();
            tokio::spawn(async move { ask(&http, &endpoint).await })
        };
        let asked: Vec<_> = endpoints.into_iter().map(ask_one).collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.context("a call failed").flatten());
        }
        answers
    });
    let asked = answers.len();
    let (mut pages, mut silent) = (Vec::new(), 0);
    for answer in answers {
        match answer {
            Ok(sources) => pages.push(sources),
            Err(error) => {
                silent += 1;
                anstream::eprintln!("warning: {}", super::with_causes(&error));
            }
        }
    }
    if pages.is_empty() {
        bail!("none of the {asked} admin endpoints answers");
    }
    if silent > 0 {
        anstream::eprintln!(
            "warning: {silent} of {asked} replicas did not answer, and each knows a part of the heartbeats: a source that \
             is stale here can be alive"
        );
    }
    let sources = combine(&pages);
    let mut out = anstream::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &sources)?;
        writeln!(out)?;
    } else {
        print(&mut out, &sources, asked - silent)?;
        missing::print(&mut out, &pages, |name| sources.iter().any(|source| source.source == name))?;
    }
    Ok(if silent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn endpoints(args: &Args) -> anyhow::Result<Vec<String>> {
    if args.admin.is_empty() {
        let listen = load::listen(args.config.if_present(), load::environment())?;
        return Ok(vec![format!("http://{}", reachable(listen))]);
    }
    let endpoint = |uri: &Uri| match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => {
            let uri = uri.to_string();
            Ok(uri.trim_end_matches("/status").trim_end_matches('/').to_owned())
        }
        _ => Err(Usage("--admin must be the URL of an admin endpoint, such as http://localhost:8080").into()),
    };
    args.admin.iter().map(endpoint).collect()
}

/// Returns the sources that the admin endpoint of a replica shows.
///
/// # Errors
/// Returns an error if the endpoint does not answer, or if its answer is no status with sources.
pub(super) async fn ask(http: &Http, endpoint: &str) -> anyhow::Result<KnownSources> {
    let url = format!("{endpoint}/status");
    let (status, body) = http.get(url.parse()?, HeaderMap::new(), MAX_PAGE).await.with_context(|| url.clone())?;
    if status != StatusCode::OK {
        bail!("{url}: {status}");
    }
    let page: serde_json::Result<Page> = serde_json::from_slice(&body);
    Ok(page.with_context(|| format!("{url}: not the status of a protobridge with sources"))?.sources)
}

fn print(out: &mut impl io::Write, sources: &[Combined], replicas: usize) -> io::Result<()> {
    // Only replicas that share a Redis know the missing heartbeats.
    let is_shared = sources.iter().any(|source| source.missing.is_some());
    let header = ["SOURCE", "STATE", "AGE", "INTERVAL", "NUMBER", "MISSING", "RESTARTS", "BEFORE QUEUE", "IN QUEUE"];
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} s"));
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).to_vec()];
    rows[0].push("HEARD BY".to_owned());
    rows.extend(sources.iter().map(|source| {
        vec![
            source.source.clone(),
            source.state.to_owned(),
            seconds(source.age_seconds),
            seconds(source.interval_seconds),
            number(source.sequence),
            number(source.missing.as_ref().map(|lists| missing::count(lists))),
            source.restarts.to_string(),
            seconds(source.before_queue_seconds),
            seconds(source.in_queue_seconds),
            format!("{} of {replicas}", source.heard_by),
        ]
    }));
    if !is_shared {
        rows.iter_mut().for_each(|row| drop(row.remove(5)));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    if sources.is_empty() {
        writeln!(out, "no source was heard, and the configuration expects none")?;
    }
    Ok(())
}
