//! Finds committed snapshots that no test looks at any more. Must never delete one.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::tidy::tree;

/// The file that insta appends the path of every snapshot to that a test compared with.
pub(crate) struct References {
    file: PathBuf,
}

// === impl References ===

impl References {
    /// Starts an empty list; `target` is ignored by git and by tidy.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join("target").join("xtask");
        fs::create_dir_all(&folder).context("cannot make target/xtask")?;
        let file = folder.join("snapshots.txt");
        fs::write(&file, "").context("cannot write target/xtask/snapshots.txt")?;
        Ok(Self { file })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Fails with the snapshots of the tree that stand on no line of the list.
    pub(crate) fn check(&self, root: &Path) -> anyhow::Result<()> {
        let listed = fs::read_to_string(&self.file).context("cannot read the list of snapshots")?;
        let used: HashSet<PathBuf> = listed
            .lines()
            .map(|line| fs::canonicalize(line).unwrap_or_default())
            .collect();
        let left_over = left_over(root, &used).context("cannot read the tree")?;
        if !left_over.is_empty() {
            bail!(
                "no test looks at these snapshots, remove them: {}",
                left_over.join(", ")
            );
        }
        Ok(())
    }
}

fn left_over(root: &Path, used: &HashSet<PathBuf>) -> io::Result<Vec<String>> {
    let mut unused = Vec::new();
    for path in tree::files(root)? {
        if path.ends_with(".snap") && !used.contains(&fs::canonicalize(root.join(&path))?) {
            unused.push(path);
        }
    }
    Ok(unused)
}
