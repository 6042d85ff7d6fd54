//! `protobridge check`: tells before a deployment whether the service can run with a configuration.

mod report;

use std::process::ExitCode;

use super::config_file::ConfigFile;
use super::inputs;
use crate::app::{Finding, Loaded, Preflight, Receives, Severity};
use crate::aws::{self, Clients};
use crate::base::http::Network;
use crate::config::Config;
use report::{Report, Summary};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --online the command makes no call to AWS, apart from reading descriptor sets and customers that are in a \
bucket. With it, it proves each permission of `protobridge iam-policy` that a \
call without an effect can prove, and lists those that it cannot prove. It writes a small object to the store.

Exit codes: 0 the service can run, 1 the check found an error (with --strict also: a warning), 2 wrong usage, 64 \
invalid configuration.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Also ask AWS whether the queues, topics and buckets exist and which permissions are granted, and check that the
    /// store can be written, and that Redis and the schema registry answer, if they are configured
    #[arg(long)]
    online: bool,
    /// With --online: receive at most one message from each queue, to prove sqs:ReceiveMessage. The message stays
    /// visible (visibility timeout 0, no wait), but its receive count rises by one, which counts towards the
    /// maxReceiveCount of the redrive policy. On a FIFO queue, other consumers cannot receive from the message's group
    /// for that moment
    #[arg(long, requires = "online")]
    receive: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Print the result as JSON; docs/operations.md describes it
    #[arg(long)]
    json: bool,
}

/// Prints what is loaded, the proofs of permissions, and the problems.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut report = Report::new(args.config.path()?, args.strict);
    let mut out = anstream::stdout().lock();
    match examine(args, &mut report) {
        Ok(()) if args.json => report.write_json(&mut out)?,
        Ok(()) => {
            report.write_text(&mut out)?;
            report.verdict()?;
        }
        Err(error) if args.json => {
            report.add_error(&error);
            report.write_json(&mut out)?;
            return Ok(super::exit_code(&error));
        }
        Err(error) => {
            report.write_text(&mut out)?;
            return Err(error);
        }
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Examines the configuration, and adds the result to the report.
///
/// # Errors
/// Returns an error if the configuration, or a file that it or the environment names, does not load.
fn examine(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let runtime = super::runtime()?;
    let (path, mut config) = (args.config.path()?, args.config.load()?);
    let network = Network::of_environment()?;
    let region = runtime.block_on(aws::configured_region(&config.aws));
    super::settle_region(&mut config, region, path)?;
    report.line("configuration", format!("{}: {} queue(s)", path.display(), config.queues.len()));
    add_network(report, &network);
    let loaded = inputs::load(&config)?;
    add_loaded(report, &config, &loaded);
    if args.online {
        let receives = if args.receive { Receives::One } else { Receives::None };
        let router = loaded.routes.current();
        let topics = router.topics();
        let online = async {
            let clients = Clients::new(&config.aws, network).await;
            let mut preflight = Preflight::run(&clients, &config, &topics, receives).await;
            preflight.judge_sizes(&router);
            (preflight.proofs, preflight.findings)
        };
        let (proofs, mut findings) = runtime.block_on(online);
        report.proofs = proofs;
        report.findings.append(&mut findings);
    }
    Ok(())
}

/// Adds the proxies and the certificates that the environment names, if it names any.
fn add_network(report: &mut Report, network: &Network) {
    let proxies = network.proxies();
    for (key, scheme, proxy) in
        [("https_proxy", "https://", proxies.https()), ("http_proxy", "http://", proxies.http())]
    {
        if let Some(proxy) = proxy {
            report.line("proxy", format!("of {scheme} addresses: {proxy}"));
            report.network.insert(key, proxy.to_string());
        }
    }
    if let Some(exceptions) = proxies.exceptions() {
        report.line("proxy", format!("except for: {exceptions}"));
        report.network.insert("no_proxy", exceptions.to_owned());
    }
    if let Some(bundle) = network.trust().bundle() {
        report.line("certificates", format!("{} (AWS_CA_BUNDLE)", bundle.display()));
        report.network.insert("ca_bundle", bundle.display().to_string());
    }
}

fn add_loaded(report: &mut Report, config: &Config, loaded: &Loaded) {
    let (snapshot, router) = (loaded.registry.current(), loaded.routes.current());
    let summary = Summary {
        queues: config.queues.len(),
        descriptor_sets: snapshot.sets().len(),
        message_types: snapshot.type_names().len(),
        customers: router.customers().count(),
        enabled_customers: router.customers().filter(|customer| customer.enabled).count(),
    };
    let Summary { descriptor_sets, message_types, customers, enabled_customers, .. } = summary;
    let path = &config.descriptors.path;
    report.line("descriptors", format!("{path}: {descriptor_sets} set(s), {message_types} message type(s)"));
    let path = &config.route.customers_file;
    report.line("customers", format!("{path}: {customers}, {enabled_customers} enabled"));
    report.loaded = Some(summary);
    report.findings.extend(loaded.warnings.iter().map(Finding::from));
    let refused = snapshot.refused().iter().map(ToString::to_string);
    report.findings.extend(refused.map(|text| Finding::of_text(Severity::Error, "descriptors.path", &text)));
}
