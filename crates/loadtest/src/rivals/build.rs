//! Builds the rivals on first use, into the folder `rivals` of the target directory.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use tokio::process;

use super::contestant::Contestant;
use crate::events;

/// The sources of the rivals, with one folder per language.
pub(super) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals");

/// A consumer that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Rival {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Rival {
    /// Returns the command that consumes from the emulator at the endpoint until it is killed.
    pub(crate) fn command(&self, endpoint: &str, descriptor_set: &Path, loops: u32) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.env("RIVAL_ENDPOINT", endpoint).env("RIVAL_QUEUE_URL", format!("{endpoint}/000000000000/events"));
        command.env("RIVAL_TOPIC_TEMPLATE", events::TOPIC_TEMPLATE).env("RIVAL_DESCRIPTOR_SET", descriptor_set);
        command.env("RIVAL_LOOPS", loops.to_string());
        command
    }

    /// Returns the command that converts the payloads on its standard input.
    pub(super) fn convert_command(&self, descriptor_set: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--hard").env_clear().env("RIVAL_DESCRIPTOR_SET", descriptor_set);
        command
    }
}

/// The error of a rival whose language is not installed.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not installed")]
pub(super) struct NotInstalled(String);

/// Builds a rival.
///
/// # Errors
/// Returns [`NotInstalled`] if its language is not installed, and another error if the build fails.
pub(super) fn rival(contestant: Contestant) -> anyhow::Result<Rival> {
    let name = contestant.to_string().to_lowercase();
    let (sources, target) = (Path::new(SOURCES).join(&name), target()?.join(&name));
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    eprintln!("building the rival in {contestant}");
    match contestant {
        Contestant::Rust => rust(&sources, &target),
        Contestant::Go => go(&sources, &target),
        Contestant::Node => node(&sources, &target),
        Contestant::Python => python(&sources, &target),
        Contestant::Protobridge | Contestant::Floor => bail!("{contestant} is not a rival"),
    }
}

/// Returns the folder for the builds of all rivals.
fn target() -> anyhow::Result<PathBuf> {
    // This binary is in the target directory, such as target/release/loadtest, and a test is in target/debug/deps.
    let own = std::env::current_exe()?;
    let target = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    Ok(target.context("this binary is not in a target directory")?.join("rivals"))
}

fn rust(sources: &Path, target: &Path) -> anyhow::Result<Rival> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--target-dir"]).arg(target);
    // Variables that `cargo run` sets for this package would make build scripts run again.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    succeed(cargo.current_dir(sources), "Rust")?;
    Ok(Rival { program: target.join("release/rival"), arguments: Vec::new() })
}

fn go(sources: &Path, target: &Path) -> anyhow::Result<Rival> {
    let program = target.join("rival");
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o"]).arg(&program).arg(".");
    succeed(go.current_dir(sources), "Go")?;
    Ok(Rival { program, arguments: Vec::new() })
}

fn node(sources: &Path, target: &Path) -> anyhow::Result<Rival> {
    // Node looks for packages in the folders above a module, so that the modules must be beside their packages.
    let modules = ["main.mjs", "convert.mjs", "consumer.mjs", "package.json", "package-lock.json"];
    let is_changed = differs(&sources.join("package-lock.json"), &target.join("node_modules/installed"));
    for module in modules {
        fs::copy(sources.join(module), target.join(module)).with_context(|| format!("cannot copy {module}"))?;
    }
    if is_changed {
        succeed(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(target), "Node")?;
        fs::copy(sources.join("package-lock.json"), target.join("node_modules/installed"))?;
    }
    let program = program("node", &["-e", "console.log(process.execPath)"], "Node")?;
    Ok(Rival { program, arguments: vec![target.join("main.mjs").display().to_string()] })
}

fn python(sources: &Path, target: &Path) -> anyhow::Result<Rival> {
    let (requirements, environment) = (sources.join("requirements.txt"), target.join("venv"));
    if differs(&requirements, &environment.join("installed")) {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment), "Python")?;
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
        succeed(pip.args(["--only-binary", ":all:", "--requirement"]).arg(&requirements), "Python")?;
        fs::copy(&requirements, environment.join("installed"))?;
    }
    // Without compiled modules beside the sources.
    let arguments = vec!["-B".to_owned(), sources.join("main.py").display().to_string()];
    Ok(Rival { program: environment.join("bin/python"), arguments })
}

/// Whether the files differ, or one of them is missing.
fn differs(one: &Path, other: &Path) -> bool {
    fs::read(one).ok().is_none_or(|content| fs::read(other).ok() != Some(content))
}

/// Runs a command of a build. Its output goes to standard error.
fn succeed(command: &mut Command, language: &str) -> anyhow::Result<()> {
    let name = command.get_program().to_owned();
    let name = Path::new(&name).display();
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("its build failed: {name}: {status}"),
        Err(missing) if missing.kind() == ErrorKind::NotFound => Err(NotInstalled(language.to_owned()).into()),
        Err(error) => Err(error).with_context(|| format!("cannot run {name}")),
    }
}

/// Returns the path that a command prints.
fn program(name: &str, arguments: &[&str], language: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new(name).args(arguments).output().map_err(|_| NotInstalled(language.to_owned()))?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_means_that_the_language_is_not_installed() {
        let error = succeed(&mut Command::new("no-such-compiler"), "Go").unwrap_err();
        assert_eq!(error.downcast::<NotInstalled>().unwrap().to_string(), "Go is not installed");
        let error = succeed(&mut Command::new("false"), "Go").unwrap_err();
        assert!(error.to_string().starts_with("its build failed: false"), "{error}");
        assert!(error.downcast::<NotInstalled>().is_err(), "a failed build must end the run");
    }

    #[test]
    fn an_installation_is_repeated_only_if_its_lock_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let [lock, installed] = ["lock", "installed"].map(|name| folder.path().join(name));
        assert!(differs(&lock, &installed), "both are missing");
        fs::write(&lock, "1").unwrap();
        assert!(differs(&lock, &installed));
        fs::copy(&lock, &installed).unwrap();
        assert!(!differs(&lock, &installed));
        fs::write(&lock, "2").unwrap();
        assert!(differs(&lock, &installed));
    }
}
