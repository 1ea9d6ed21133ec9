//! Lists the files of the tree. Must never leave it: links are not followed.

use std::fs;
use std::io;
use std::path::Path;

/// Folders that hold nothing of ours: what git, builds, servers and package managers leave.
const FOREIGN: [&str; 6] = [
    ".git",
    ".venv",
    "__pycache__",
    "data",
    "node_modules",
    "target",
];

/// By which cargo and others mark a folder as their own, whatever its name.
const CACHE_MARK: &str = "CACHEDIR.TAG";

/// Every file's path below `root`, with `/`, in order. `data` is foreign at the top only.
pub(crate) fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    walk(root, "", &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    if folder.join(CACHE_MARK).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_foreign(&name, prefix) {
            walk(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else if kind.is_file() {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

fn is_foreign(name: &str, prefix: &str) -> bool {
    FOREIGN.contains(&name) && (name != "data" || prefix.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_ours() {
        assert!(is_foreign("target", "fuzz/"));
        assert!(is_foreign("data", ""));
        assert!(!is_foreign("data", "crates/server/tests/"));
        assert!(!is_foreign("src", "xtask/"));
    }
}
