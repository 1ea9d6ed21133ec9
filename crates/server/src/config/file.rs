//! Reads the files that settings name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hookseal_domain::secret::Secret;

use crate::config::error::ConfigError;

/// Largest file that a setting may name: the whole list of public roots has a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file that `key` names.
pub(crate) fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable =
        |error| ConfigError::unusable(key, format!("{}: cannot be read: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let mut bounded = file.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        let problem = format!("{}: is larger than 1 MiB", path.display());
        Err(ConfigError::unusable(key, problem))
    }
}

/// The same, of a text that nobody else may see.
pub(crate) fn read_secret(key: &'static str, path: &Path) -> Result<Secret<String>, ConfigError> {
    let bytes = Secret::new(read(key, path)?);
    match std::str::from_utf8(bytes.expose()) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => {
            let problem = format!("{}: is not text in UTF-8", path.display());
            Err(ConfigError::unusable(key, problem))
        }
    }
}
