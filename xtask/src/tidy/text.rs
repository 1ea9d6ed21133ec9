//! Rules for every file of text.

use crate::tidy::{File, Finding, Rule};

static BLANKS: Rule = Rule {
    name: "blanks",
    reason: "spaces, not tabs, none of them at a line's end, and one line end at a file's: \
             a diff shows what changed and nothing else",
};
static NO_MACHINE_PATHS: Rule = Rule {
    name: "no-machine-paths",
    reason: "a path of one machine means nothing on the next: name files relative to the project, \
             and make temporary folders in the code that needs them",
};

/// Files that we write by hand or generate. Snapshots and fixtures hold what others wrote.
const OURS: [&str; 15] = [
    ".css", ".html", ".js", ".json", ".jsonl", ".md", ".mjs", ".py", ".rs", ".sh", ".sql", ".toml",
    ".txt", ".yml", "/run",
];
const OURS_BY_NAME: [&str; 2] = [".gitignore", "justfile"];

/// Roots of folders that differ from machine to machine, without the slash in front, so that this list breaks no rule.
const MACHINE_ROOTS: [&str; 5] = ["Users", "home", "root", "tmp", "work"];

pub(super) fn check(file: File<'_>) -> Vec<Finding> {
    let ours = OURS.iter().any(|end| file.path.ends_with(end)) || OURS_BY_NAME.contains(&file.path);
    if !ours {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line_number, line) in (1..).zip(file.text.split('\n')) {
        if line.contains('\t') {
            findings.push(Finding::error(&BLANKS, line_number, "a tab"));
        }
        if line.ends_with(char::is_whitespace) {
            findings.push(Finding::error(
                &BLANKS,
                line_number,
                "blanks at the line's end",
            ));
        }
        if names_machine_path(line) {
            findings.push(Finding::error(&NO_MACHINE_PATHS, line_number, line.trim()));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        let last = file.text.lines().count();
        findings.push(Finding::error(
            &BLANKS,
            last,
            "does not end with one line end",
        ));
    }
    findings
}

/// An absolute path begins where no path, name or host goes before it: `https://a.example/work/b` names none.
fn names_machine_path(line: &str) -> bool {
    line.match_indices('/').any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"./_-}*~>)]$".contains(c));
        let rest = line.get(at + 1..).unwrap_or_default();
        let root = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
            .next();
        begins && root.is_some_and(|root| MACHINE_ROOTS.contains(&root))
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::broken;

    #[test]
    fn a_diff_shows_what_changed() {
        assert_eq!(broken("README.md", "# A\n\nb\n"), [""; 0]);
        assert_eq!(broken("README.md", "# A \n\tb\n"), ["blanks:1", "blanks:2"]);
        assert_eq!(broken("README.md", "# A\r\n"), ["blanks:1"]);
        assert_eq!(broken("README.md", "# A"), ["blanks:1"]);
        assert_eq!(broken("README.md", "# A\n\n"), ["blanks:2"]);
        assert_eq!(broken("crates/server/tests/it/a.snap", "a \n"), [""; 0]);
    }

    #[test]
    fn no_file_names_a_path_of_one_machine() {
        for root in super::MACHINE_ROOTS {
            let broken_in = |before: &str, after: &str| {
                broken("README.md", &format!("see {before}/{root}{after}\n"))
            };
            assert_eq!(broken_in("", "/a"), ["no-machine-paths:1"]);
            assert_eq!(broken_in("`", "`"), ["no-machine-paths:1"]);
            assert_eq!(broken_in("https://a.example", "/b"), [""; 0]);
            assert_eq!(broken_in("./a", "/b"), [""; 0]);
            assert_eq!(broken_in("", "-of-trust"), [""; 0]);
        }
    }
}
