//! The option `--config`, which the commands share.

use std::path::{Path, PathBuf};

use super::Usage;
use crate::app::Offline;
use crate::config::load::{self, Origin};
use crate::config::{Config, Location};

/// The configuration file in the current folder, which a command takes if no file is named.
const DEFAULT: &str = "protobridge.yaml";

/// The option `--config` of a command.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// Configuration file (YAML); `protobridge config example` prints one [default: ./protobridge.yaml]
    #[arg(long, value_name = "FILE", env = "PROTOBRIDGE_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Whether the command line or `PROTOBRIDGE_CONFIG` names a file.
    pub(super) fn is_named(&self) -> bool {
        self.config.is_some()
    }

    /// Returns the path of the file, if one is named or is in the current folder.
    pub(super) fn if_present(&self) -> Option<&Path> {
        let default = || Some(Path::new(DEFAULT)).filter(|path| path.exists());
        self.config.as_deref().or_else(default)
    }

    /// Returns the path of the file.
    ///
    /// # Errors
    /// Returns an error if no file is named and none is in the current folder.
    pub(super) fn path(&self) -> Result<&Path, Usage> {
        self.if_present().ok_or(Usage(
            "there is no configuration file: this folder has no protobridge.yaml; name the file with --config FILE or \
             PROTOBRIDGE_CONFIG, or write one: protobridge config example > protobridge.yaml",
        ))
    }

    /// Returns the file and the variables of this process that override its keys.
    ///
    /// # Errors
    /// Returns an error if no file is named and none is in the current folder.
    pub(super) fn origin(&self) -> Result<Origin, Usage> {
        Ok(Origin::new(self.path()?, load::environment()))
    }

    /// Loads the configuration.
    ///
    /// # Errors
    /// Returns an error if there is no file, or if the configuration is not valid.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        Ok(self.origin()?.load()?)
    }

    /// Loads the configuration and its files for dry runs, and warns about descriptor sets that are refused.
    /// `descriptors` is the place of sets to use instead of those of the configuration.
    ///
    /// # Errors
    /// Returns an error if there is no file, or if the configuration or one of its files is not valid.
    pub(super) fn load_offline(&self, descriptors: Option<&Location>) -> anyhow::Result<Offline> {
        let mut config = self.load()?;
        if let Some(place) = descriptors {
            config.descriptors.path.clone_from(place);
        }
        let offline = super::inputs::load_offline(config)?;
        super::warn_about_refused(offline.snapshot());
        Ok(offline)
    }
}
