//! The flags that say where the configuration comes from: the same for every command that reads
//! it.

use std::env;
use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::config::error::ConfigErrors;
use crate::config::source::{Assignment, CONFIG_VARIABLE, DATA_DIR_VARIABLE, Sources};

/// Where the configuration comes from.
#[derive(Args, Debug)]
pub(super) struct SourceArgs {
    /// Configuration file in TOML [env: HOOKSEAL_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Directory of keys and database [env: HOOKSEAL_DATA_DIR] [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Set any key of the configuration; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<Assignment>,
}

// === impl SourceArgs ===

impl SourceArgs {
    /// Reads the configuration. `flags` are those with names of their own: flag, key and value.
    pub(super) fn load(
        &self,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> Result<Config, ConfigErrors> {
        let path_in = |variable| {
            env::var_os(variable)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        let sources = Sources {
            file: self.config.clone().or_else(|| path_in(CONFIG_VARIABLE)),
            environment: env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            set: self.set.clone(),
            flags,
        };
        let data_dir = self.data_dir.clone().or_else(|| path_in(DATA_DIR_VARIABLE));
        Config::load(data_dir.unwrap_or_else(|| PathBuf::from("data")), &sources)
    }
}
