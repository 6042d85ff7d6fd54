//! A Python interpreter with the packages that `requirements.txt` pins, in a virtual environment.
//!
//! The first test process creates the environment below `target/`; later ones reuse it. Its name contains a hash of the
//! pins and of the interpreter, so a change of either creates a new environment.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

/// The variable that, if set, skips the tests that need Python.
const SKIP: &str = "PROTOBRIDGE_TEST_SKIP_PYTHON";

/// The variable that names the interpreter to use in place of `python3`.
const INTERPRETER: &str = "PYTHON";

/// The folder that holds the scripts and `requirements.txt`.
const SUPPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support");

/// A Python interpreter that can run the scripts in [`SUPPORT`].
#[derive(Debug)]
pub(crate) struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Returns the environment, or `None` if tests that need Python are skipped.
    ///
    /// # Panics
    ///
    /// Panics with one line that names the fix if there is no usable Python or the pinned packages cannot be installed.
    pub(crate) fn get() -> Option<&'static Self> {
        static PYTHON: OnceLock<Result<Python, String>> = OnceLock::new();
        if env::var_os(SKIP).is_some_and(|value| !value.is_empty()) {
            eprintln!("skipped: {SKIP} is set");
            return None;
        }
        match PYTHON.get_or_init(Self::set_up) {
            Ok(python) => Some(python),
            Err(message) => panic!("{message}"),
        }
    }

    /// Returns a command that runs a script in [`SUPPORT`].
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.interpreter);
        isolated(&mut command).arg("-B").arg(Path::new(SUPPORT).join(name));
        command
    }

    fn set_up() -> Result<Self, String> {
        let system = env::var_os(INTERPRETER).filter(|name| !name.is_empty()).unwrap_or_else(|| "python3".into());
        let identity = identify(&system).map_err(|why| {
            let name = system.display();
            format!(
                "{name} {why}: install Python 3.10 or later with its venv module, such as `apt-get install \
                 python3-venv`, or name an interpreter in {INTERPRETER}; {SKIP}=1 skips the tests that need Python"
            )
        })?;
        let requirements = Path::new(SUPPORT).join("requirements.txt");
        let pins = fs::read(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
        let hash = Sha256::new().chain_update(identity).chain_update(pins).finalize();
        let name: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
        make(&system, &folder, &requirements).map_err(|why| {
            format!("cannot set up {}: {why}; {SKIP}=1 skips the tests that need Python", folder.display())
        })?;
        Ok(Self { interpreter: folder.join("bin/python") })
    }
}

/// Returns the version and the path of the interpreter, or an error if the tests cannot use it.
fn identify(system: &OsString) -> Result<String, String> {
    let program = "import sys\n\
                   if sys.version_info < (3, 10): sys.exit('is too old')\n\
                   try: import venv, ensurepip\n\
                   except ImportError: sys.exit('has no venv module')\n\
                   print(sys.version, sys.executable)";
    run(isolated(&mut Command::new(system)).args(["-c", program]))
}

/// Creates the environment unless it exists. Other test processes wait on a file lock meanwhile.
fn make(system: &OsString, folder: &Path, requirements: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let lock = File::create(folder.with_extension("lock")).map_err(text)?;
    lock.lock().map_err(text)?;
    // This file is written last, so an environment whose installation was interrupted is created again.
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(());
    }
    eprintln!("installing the packages of tests/support/requirements.txt into {}", folder.display());
    run(isolated(&mut Command::new(system)).args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut install = Command::new(folder.join("bin/python"));
    isolated(&mut install).args(["-m", "pip", "install", "--quiet", "--no-input"]);
    install.args(["--disable-pip-version-check", "--no-deps", "--requirement"]).arg(requirements);
    run(&mut install).map_err(|why| format!("pip {why} (the first run needs a package index)"))?;
    File::create(complete).map(drop).map_err(text)
}

/// Keeps packages of the user from shadowing the pinned ones.
fn isolated(command: &mut Command) -> &mut Command {
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONNOUSERSITE", "1")
}

/// Runs a command and returns its standard output.
///
/// # Errors
///
/// Returns an error if the command fails: the last line that it printed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("cannot be run ({error})"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let last = said.iter().flat_map(|text| text.lines().rev()).find(|line| !line.trim().is_empty());
    Err(last.map_or_else(|| format!("failed with {}", output.status), |line| line.trim().to_owned()))
}
