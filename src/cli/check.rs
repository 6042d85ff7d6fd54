//! `protobridge check`: tells before a deployment whether the service can run with a configuration.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use crate::app::{self, Loaded, Probe};
use crate::aws::{self, Clients};
use crate::base::http::Network;
use crate::config::{Config, load};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: PathBuf,
    /// Also ask AWS whether the queues, topics and buckets exist, and check that Redis and the schema registry answer
    /// if they are configured
    #[arg(long)]
    online: bool,
}

/// Prints what is loaded, warnings and problems. Only problems make the command fail.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = load::file(&args.config, load::environment())?;
    let network = Network::of_environment()?;
    let region = super::runtime()?.block_on(aws::configured_region(&config.aws));
    super::settle_region(&mut config, region, &args.config)?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "configuration  {}: {} queue(s)", args.config.display(), config.queues.len())?;
    describe(&network, &mut out)?;
    let loaded = Loaded::load(&config)?;
    let snapshot = loaded.registry.current();
    let (sets, types) = (snapshot.sets().len(), snapshot.type_names().len());
    writeln!(out, "descriptors    {}: {sets} set(s), {types} message type(s)", config.descriptors.path.display())?;
    let router = loaded.routes.current();
    let customers = router.customers().count();
    let enabled = router.customers().filter(|customer| customer.enabled).count();
    writeln!(out, "customers      {}: {customers}, {enabled} enabled", config.route.customers_file.display())?;
    for warning in &loaded.warnings {
        writeln!(out, "warning        {warning}")?;
    }
    if args.online {
        let problems = super::runtime()?.block_on(online(&config, &loaded, network, &mut out))?;
        if problems > 0 {
            bail!("{problems} of the resources that the configuration names cannot be used");
        }
    }
    if !snapshot.refused().is_empty() {
        for refused in snapshot.refused() {
            writeln!(out, "refused        {refused}")?;
        }
        bail!("{} of the descriptor sets cannot be used", snapshot.refused().len());
    }
    writeln!(out, "ok")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the proxies and the certificates that the environment names, if it names any.
fn describe(network: &Network, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let proxies = network.proxies();
    for (scheme, proxy) in [("https://", proxies.https()), ("http://", proxies.http())] {
        if let Some(proxy) = proxy {
            writeln!(out, "proxy          of {scheme} addresses: {proxy}")?;
        }
    }
    if let Some(exceptions) = proxies.exceptions() {
        writeln!(out, "proxy          except for: {exceptions}")?;
    }
    if let Some(bundle) = network.trust().bundle() {
        writeln!(out, "certificates   {} (AWS_CA_BUNDLE)", bundle.display())?;
    }
    Ok(())
}

/// Probes every resource that the configuration names, and returns the number of those that cannot be used.
async fn online(
    config: &Config,
    loaded: &Loaded,
    network: Network,
    out: &mut impl std::io::Write,
) -> anyhow::Result<usize> {
    let clients = Clients::new(&config.aws, network).await;
    let mut problems = 0;
    for Probe { subject, result } in app::probe(&clients, config, &loaded.routes.current().topics()).await {
        match result {
            Ok(()) => writeln!(out, "online         {subject}: ok")?,
            Err(error) => {
                problems += 1;
                writeln!(out, "online         {subject}: {error}")?;
            }
        }
    }
    for (queue, verdict) in app::redrive_policies(&clients, config).await {
        match verdict {
            Ok(verdict) if verdict.is_too_low() => writeln!(out, "warning        queue {queue}: {verdict}")?,
            Ok(verdict) => writeln!(out, "redrive        queue {queue}: {verdict}")?,
            // The probe of the queue has reported every other failure.
            Err(error) if error.is_denied() => {
                writeln!(out, "warning        queue {queue}: its redrive policy is unknown: {error}")?;
            }
            Err(_) => {}
        }
    }
    Ok(problems)
}
