//! The replays of a store: their list, and the end of one.

use std::io::Write as _;
use std::process::ExitCode;

use super::session::open_store;
use crate::aws::Clients;
use crate::base::http::Network;
use crate::cli::columns::{self, grouped, span, utc};
use crate::cli::config_file::ConfigFile;
use crate::store::replays::{Name, Owner, Replays, State};

/// Opens the replays of a configuration's store.
async fn open(file: &ConfigFile) -> anyhow::Result<Replays> {
    let origin = file.origin()?;
    let config = origin.load()?;
    let clients = Clients::new(&config.aws, Network::of_environment()?).await;
    Ok(Replays::new(open_store(&config, &clients, origin.path())?))
}

/// Prints all replays.
pub(super) async fn list(file: &ConfigFile, is_json: bool) -> anyhow::Result<ExitCode> {
    let states = open(file).await?.list().await?;
    let mut out = anstream::stdout().lock();
    if is_json {
        serde_json::to_writer_pretty(&mut out, &states)?;
        writeln!(out)?;
    } else if states.is_empty() {
        writeln!(out, "no replays")?;
    } else {
        let header = ["NAME", "STATUS", "WINDOW (UTC)", "UPDATED (UTC)", "HOST", "MESSAGES", "PUBLISHED", "NOT SENT"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(states.iter().map(cells));
        columns::write(&mut out, &rows, 5)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(state: &State) -> Vec<String> {
    let State { name, status, request, owner, counts, updated_at, .. } = state;
    vec![
        name.to_string(),
        status.code().to_owned(),
        span(request.from, "to", request.to),
        utc(*updated_at),
        owner.host.clone(),
        grouped(counts.messages as f64),
        grouped(counts.published as f64),
        grouped(counts.refused() as f64),
    ]
}

/// Ends a replay for good.
pub(super) async fn cancel(file: &ConfigFile, name: &Name) -> anyhow::Result<ExitCode> {
    let state = open(file).await?.cancel(name, &Owner::random()).await?;
    let published = grouped(state.counts.published as f64);
    writeln!(
        anstream::stdout().lock(),
        "the replay {name} is canceled after {published} deliveries; a process that runs it stops at its next step"
    )?;
    Ok(ExitCode::SUCCESS)
}
