//! Compares the service with the consumers that a user would write instead, in the same run.
//!
//! Each contestant drains the same backlog from the same emulator, in the same situations. The rounds are interleaved,
//! so that a change in the machine's load affects all of them. Their programs are in the folder `rivals` of this crate.

mod build;
mod contestant;
mod document;
mod figures;
mod hard;
mod situation;
mod table;
mod versions;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::measure::measure;
use crate::progress::Progress;
use crate::report::Machine;
use crate::session;
use crate::subject::{Service, Subject};
pub(crate) use build::Rival;
use contestant::Contestant;
use figures::Figures;
use situation::Situation;

/// The options of `loadtest rivals`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Number of events of each run
    #[arg(long, default_value_t = 50_000, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(100..))]
    events: u64,
    /// Number of runs of each contestant in each situation
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Contestants to measure [default: all]
    #[arg(long, value_enum, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<Contestant>,
    /// Situations to measure [default: all]
    #[arg(long, value_enum, value_name = "NAME,…", value_delimiter = ',')]
    situations: Vec<Situation>,
    /// Extra time that each SQS and SNS call takes in the situation `slow-calls`, in milliseconds
    #[arg(long, default_value_t = 10, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    call_ms: u64,
    /// Loops of the SDK calls and of each rival [default: 8; in the situation `slow-calls` 32]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=500))]
    loops: Option<u32>,
    /// Compare only the JSON of the hard payloads; measure nothing
    #[arg(long)]
    hard_only: bool,
    /// File to which all figures are written after each run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Document whose tables between the markers are replaced
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Binary of the service; built if not given
    #[arg(long, value_name = "FILE")]
    service: Option<PathBuf>,
    /// Cargo profile with which the service is built; the image ships `dist`
    #[arg(long, default_value = session::SHIPPED_PROFILE, value_name = "NAME")]
    profile: String,
}

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// The version of protobridge, followed by the git revision if known.
    pub(crate) version: String,
    /// The arguments that repeat the run.
    pub(crate) command: String,
    pub(crate) contestants: Vec<Entered>,
    pub(crate) situations: Vec<Measured>,
    pub(crate) hard: Vec<hard::Row>,
}

/// A contestant, whether or not it can be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entered {
    pub(crate) contestant: Contestant,
    /// The versions of its language and libraries.
    pub(crate) versions: String,
    /// Why it is not measured, if so.
    pub(crate) absent: Option<String>,
}

/// The runs of a situation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) situation: Situation,
    pub(crate) events: u64,
    pub(crate) call_ms: u64,
    /// The loops of the SDK calls and of each rival; `None` for the defaults.
    pub(crate) loops: Option<u32>,
    /// One item per round of each contestant.
    pub(crate) runs: BTreeMap<Contestant, Vec<Figures>>,
    /// The first difference between the JSON of a rival and the expected JSON.
    pub(crate) differences: BTreeMap<Contestant, String>,
}

/// Builds the contestants, measures them and prints the tables.
///
/// # Errors
/// Returns an error if the service cannot be built, if a run fails, or if a file cannot be written.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let chosen = if options.only.is_empty() { Contestant::all() } else { options.only.clone() };
    let mut field = Field::build(&chosen, options)?;
    let contestants = field.entered.split_off(0);
    let mut report = Report {
        machine: Machine::this(),
        version: session::version(),
        command: options.command(),
        contestants,
        situations: Vec::new(),
        hard: hard::compare(&field.subjects)?,
    };
    println!("{}\n", table::hard(&report.hard));
    let situations = if options.situations.is_empty() { Situation::all() } else { options.situations.clone() };
    for situation in situations.into_iter().filter(|_| !options.hard_only) {
        report.situations.push(Measured::new(situation, options));
        for round in 0..options.rounds {
            for contestant in field.in_order_of(round) {
                run_one(&mut report, contestant, &field.subjects[&contestant], round, options).await?;
                options.json.as_deref().map_or(Ok(()), |file| document::write_json(file, &report))?;
            }
        }
        if let Some(measured) = report.situations.last() {
            println!("{}\n{}\n", measured.title(), table::text(measured, &report.contestants));
        }
    }
    options.markdown.as_deref().map_or(Ok(()), |file| document::update(file, &report))?;
    let broken = report.broken();
    ensure!(broken.is_empty(), "events were lost, repeated or altered: {}", broken.join("; "));
    Ok(())
}

impl Report {
    /// Returns one sentence for each contestant that lost or repeated events. The table shows what a rival alters.
    fn broken(&self) -> Vec<String> {
        let runs = self.situations.iter().flat_map(|measured| measured.runs.iter().map(move |runs| (measured, runs)));
        let broken = runs.filter_map(|(measured, (contestant, runs))| {
            let sum = |figure: fn(&Figures) -> u64| runs.iter().map(figure).sum::<u64>();
            let altered = if contestant.is_rival() { 0 } else { sum(|figures| figures.wrong) };
            let (lost, duplicated) = (sum(|figures| figures.lost), sum(|figures| figures.duplicated));
            let counts = format!("{lost} lost, {duplicated} repeated, {altered} altered");
            (lost + duplicated + altered > 0).then(|| format!("{contestant}, {}: {counts}", measured.situation))
        });
        broken.collect()
    }
}

/// Measures one contestant once, in the last situation of the report.
async fn run_one(
    report: &mut Report,
    contestant: Contestant,
    subject: &Subject,
    round: u32,
    options: &Options,
) -> anyhow::Result<()> {
    let measured = report.situations.last_mut().context("no situation was chosen")?;
    let plan = measured.plan(contestant);
    let mut progress = Progress::new();
    let name = format!("{}, round {} of {}, {contestant}", measured.situation, round + 1, options.rounds);
    progress.label.clone_from(&name);
    let result = measure(&plan, subject, &mut progress).await.context(name.clone())?;
    if contestant == Contestant::Protobridge {
        let broken = result.broken_guarantees(&plan.spec);
        ensure!(broken.is_empty(), "{name}: {}", broken.join("; "));
    }
    let figures = Figures::new(&plan.spec, &result);
    eprintln!("{name}: {figures}");
    measured.runs.entry(contestant).or_default().push(figures);
    if let Some(difference) = result.after.first_difference {
        eprintln!("  first difference: {difference}");
        measured.differences.entry(contestant).or_insert(difference);
    }
    Ok(())
}

/// The contestants that can be measured.
#[derive(Debug)]
struct Field {
    entered: Vec<Entered>,
    subjects: BTreeMap<Contestant, Subject>,
}

impl Field {
    /// Builds the chosen contestants. A rival whose language is not installed is left out.
    ///
    /// # Errors
    /// Returns an error if a build fails.
    fn build(chosen: &[Contestant], options: &Options) -> anyhow::Result<Self> {
        let mut field = Self { entered: Vec::new(), subjects: BTreeMap::new() };
        for contestant in chosen {
            let subject = match contestant {
                // Its JSON can be compared without its binary.
                Contestant::Protobridge if options.hard_only => Ok(Subject::Floor),
                Contestant::Protobridge => {
                    let path = session::binary(options.service.as_deref(), &options.profile)?;
                    let service = Service { path, variables: BTreeMap::new(), replicas: 1 };
                    Ok(Subject::Service { service, linger_ms: 10 })
                }
                Contestant::Floor => Ok(Subject::Floor),
                rival => match build::rival(*rival) {
                    Ok(rival) => Ok(Subject::Rival(rival)),
                    Err(error) => Err(error.downcast::<build::NotInstalled>()?),
                },
            };
            let (versions, absent) = (versions::of(*contestant, options), subject.as_ref().err());
            let absent = absent.map(ToString::to_string);
            if let Some(absent) = &absent {
                eprintln!("{contestant} is not measured: {absent}");
            }
            field.entered.push(Entered { contestant: *contestant, versions, absent });
            field.subjects.extend(subject.ok().map(|subject| (*contestant, subject)));
        }
        Ok(field)
    }

    /// Returns the contestants in the order of this round. Each round begins with another one.
    fn in_order_of(&self, round: u32) -> Vec<Contestant> {
        let mut order: Vec<Contestant> = self.subjects.keys().copied().collect();
        let first = round as usize % order.len().max(1);
        order.rotate_left(first);
        order
    }
}

impl Options {
    /// Returns the command that repeats the run.
    fn command(&self) -> String {
        let (events, rounds) = (self.events, self.rounds);
        let mut command =
            format!("cargo run {} -p loadtest -- rivals --events {events} --rounds {rounds}", own_build());
        if !self.only.is_empty() {
            command += &format!(" --only {}", list(&self.only));
        }
        if !self.situations.is_empty() {
            command += &format!(" --situations {}", list(&self.situations));
        }
        if let Some(loops) = self.loops {
            command += &format!(" --loops {loops}");
        }
        if self.call_ms != 10 {
            command += &format!(" --call-ms {}", self.call_ms);
        }
        if self.profile != session::SHIPPED_PROFILE {
            command += &format!(" --profile {}", self.profile);
        }
        if self.service.is_some() {
            command += " --service FILE";
        }
        command
    }
}

/// Returns the arguments with which Cargo builds this binary, which is also that of the SDK calls alone.
fn own_build() -> String {
    let own = std::env::current_exe().ok();
    let profile = own.as_deref().and_then(|path| path.parent()?.file_name()?.to_str()).unwrap_or_default();
    let features = if cfg!(feature = "rustack") { "" } else { " --no-default-features" };
    match profile {
        "release" => format!("--release{features}"),
        other => format!("--profile {other}{features}"),
    }
}

/// Returns values as the command line takes them.
fn list<V: ValueEnum>(values: &[V]) -> String {
    let names: Vec<String> =
        values.iter().filter_map(V::to_possible_value).map(|value| value.get_name().to_owned()).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(contestant: Contestant, figures: Figures) -> Report {
        let measured = Measured {
            situation: Situation::Skewed,
            events: 500,
            call_ms: 0,
            loops: None,
            runs: BTreeMap::from([(contestant, vec![Figures::default(), figures])]),
            differences: BTreeMap::new(),
        };
        Report {
            machine: Machine::default(),
            version: String::new(),
            command: String::new(),
            contestants: Vec::new(),
            situations: vec![measured],
            hard: Vec::new(),
        }
    }

    #[test]
    fn lost_and_repeated_events_are_broken_and_so_is_altered_json_of_the_service() {
        let of = |contestant, figures| report(contestant, figures).broken();
        let none = Figures::default();
        assert_eq!(of(Contestant::Go, none), Vec::<String>::new());
        assert_eq!(of(Contestant::Go, Figures { wrong: 3, ..none }), Vec::<String>::new());
        let altered = of(Contestant::Protobridge, Figures { wrong: 3, ..none });
        assert_eq!(altered, ["protobridge, 100 customers: 0 lost, 0 repeated, 3 altered"]);
        assert_eq!(of(Contestant::Go, Figures { lost: 1, ..none }).len(), 1);
        assert_eq!(of(Contestant::Go, Figures { duplicated: 1, ..none }).len(), 1);
    }

    #[test]
    fn a_report_is_written_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rivals.json");
        document::write_json(&file, &report(Contestant::Rust, Figures { cpu_us_per_event: 1.5, ..Figures::default() }))
            .unwrap();
        let read: Report = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read.situations[0].runs[&Contestant::Rust][1].cpu_us_per_event.to_string(), "1.5");
    }
}
