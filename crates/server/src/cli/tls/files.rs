//! Files that are named on the command line: read whole, up to a bound.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;

/// Larger than any set of certificates that the API takes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .with_context(name)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX);
    anyhow::ensure!(fits, "{} is larger than {FILE_BYTES_MAX} bytes", name());
    Ok(bytes)
}

/// Reads a text file, PEM or JSON.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is no text", path.display()))
}
