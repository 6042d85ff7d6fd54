//! `protobridge test`: runs the test cases of a configuration, offline.

mod report;
mod update;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;

use super::Usage;
use super::case::{Case, TestFile, Unusable, actual};
use super::config_file::ConfigFile;
use crate::app::Offline;
use crate::config::Location;
use crate::delivery::dry_run::Forecast;
use report::{Failure, Report, Tested};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Test files (YAML)
    #[arg(value_name = "TEST FILE", required = true)]
    files: Vec<PathBuf>,
    /// Run only the cases whose name contains this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// The format of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the actual results of failing cases, and of cases without an expectation, into the test files
    #[arg(long)]
    update: bool,
    /// Compiled descriptor sets to use instead of those of the configuration: a folder, one file, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PATH")]
    descriptors: Option<Location>,
}

const EXAMPLES: &str = "\
A case is a message and its expected result:
  cases:
    - name: acme gets its order
      type: shop.v1.OrderPlaced
      payload: {json: {meta: {tenantId: acme, eventId: e-1}, orderId: ord_1}}
      expect:
        outcome: published
        destinations:
          acme: {json_contains: {orderId: ord_1}, attributes: {event-id: e-1}}

The cases take the path of real messages through the rules of the service. No network is used. docs/schema-owners.md \
describes all keys.

Exit codes: 0 all cases pass, 1 a case fails, 2 wrong usage or no case matches the filter, 64 the configuration or a \
test file is invalid.";

/// The formats of the report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
    /// JUnit XML, which CI systems read
    Junit,
}

/// Runs the cases. The exit code is 1 if one of them fails.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let offline = args.config.load_offline(args.descriptors.as_ref())?;
    let files = args.files.iter().map(|path| TestFile::load(path)).collect::<Result<Vec<_>, _>>()?;
    let mut report = Report::default();
    for file in &files {
        let filter = args.filter.as_deref().unwrap_or_default();
        let tested: Vec<Tested<'_>> = file
            .cases
            .iter()
            .enumerate()
            .filter(|(_, case)| case.name.contains(filter))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(index, case)| test(&offline, file, index, case))
            .collect();
        if args.update {
            update::update(&offline, file, &tested)?;
        }
        report.tested.extend(tested);
    }
    if report.tested.is_empty() {
        return Err(Usage("no case matches --filter, or the test files have no case").into());
    }
    let mut out = anstream::stdout().lock();
    match args.format {
        Format::Text => report.write_text(&mut out, args.update)?,
        Format::Json => report.write_json(&mut out)?,
        Format::Junit => report.write_junit(&mut out)?,
    }
    let failed = report.tested.iter().filter(|tested| tested.has_failed(args.update)).count();
    match failed {
        0 => Ok(ExitCode::SUCCESS),
        failed => bail!("{failed} of {} case(s) failed", report.tested.len()),
    }
}

/// Runs one case, and compares its result with the expected one.
fn test<'f>(offline: &Offline, file: &'f TestFile, index: usize, case: &'f Case) -> Tested<'f> {
    let (failure, key) = match case.run(offline, file.folder()) {
        Err(unusable) => {
            let key = unusable.key.clone();
            (Some(Failure::Unusable(unusable)), key)
        }
        Ok(forecast) => match compare(case, &forecast) {
            None => (None, String::new()),
            Some(failure) => {
                let key = failure.first_path().map_or_else(|| "expect".to_owned(), |path| format!("expect.{path}"));
                (Some(failure), key)
            }
        },
    };
    let line = file.position(index, &key).map_or(1, |position| position.line);
    Tested { path: &file.path, index, line, case, failure }
}

fn compare(case: &Case, forecast: &Forecast) -> Option<Failure> {
    let Some(expect) = &case.expect else {
        return Some(Failure::NoExpectation { actual: actual(forecast) });
    };
    let differences = expect.differences(forecast);
    if differences.is_empty() {
        return None;
    }
    let detail = forecast.outcome.detail().to_owned();
    Some(Failure::Different { differences, detail, actual: expect.corrected(forecast) })
}
