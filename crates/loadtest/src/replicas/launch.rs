//! Starts replicas before and during a run, and kills one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;

use super::kill::Kill;
use super::{Change, name};
use crate::emulator::stats::Stats;
use crate::measure::RunPlan;
use crate::process::Process;
use crate::subject::{AUTHORITY_VARIABLE, RunningSubject, Subject};

/// How the processes of a subject are started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) subject: Subject,
    pub(crate) plan: RunPlan,
    pub(crate) endpoint: String,
    /// The file of the authority that the processes must trust, if the endpoint has TLS.
    pub(crate) authority: Option<PathBuf>,
    /// The number of processes that were started.
    pub(crate) started: u32,
}

impl Launch {
    /// Starts the next process, which writes its log to the end of the file.
    ///
    /// # Errors
    /// Returns an error if the process cannot be started.
    pub(crate) fn start(&mut self, folder: &Path, log: &Path) -> anyhow::Result<Process> {
        self.started += 1;
        let name = name(self.started);
        let log = File::options().append(true).open(log)?;
        let mut command = self.subject.command(&self.plan, &self.endpoint, folder)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.envs(self.plan.replicas.iter().flat_map(|replicas| &replicas.variables));
        command.env("AWS_ACCESS_KEY_ID", &name).env("AWS_SECRET_ACCESS_KEY", "loadtest");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", folder).env("HOSTNAME", &name);
        command.envs(self.authority.iter().map(|path| (AUTHORITY_VARIABLE, path)));
        match self.subject {
            Subject::Rival(_) => Process::start_tree(&mut command),
            Subject::Service { .. } | Subject::Floor => Process::start(&mut command),
        }
    }
}

impl RunningSubject {
    /// Kills the first replica and adds a new one, each when its time has come. `kill` has the killed replica.
    ///
    /// # Errors
    /// Returns an error if a replica cannot be killed or started.
    pub(crate) async fn change(
        &mut self,
        change: Change,
        stats: &Stats,
        kill: &mut Option<Kill>,
    ) -> anyhow::Result<()> {
        let seconds = stats.elapsed_us / 1_000_000;
        match kill {
            None if seconds >= change.kill_after => {
                self.kill_first().await.context("cannot kill a replica")?;
                let at_ms = stats.elapsed_us / 1_000;
                *kill = Some(Kill { replica: name(1), at_ms, in_flight: None, doubled_before: 0 });
            }
            // The calls that were under way at the kill are answered before the next look.
            Some(kill) => kill.note(stats),
            None => {}
        }
        if seconds >= change.add_after && !self.has_added() {
            self.add().context("cannot add a replica")?;
        }
        Ok(())
    }
}
