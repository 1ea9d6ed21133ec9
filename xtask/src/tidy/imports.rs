//! How names come into a Rust file.

use std::cmp::Ordering;

use crate::tidy::rust_source::RustSource;
use crate::tidy::{Finding, Rule};

static NO_GLOBS: Rule = Rule {
    name: "no-globs",
    reason: "a reader must see where a name comes from; only a module inside its parent's file, or its tests, \
             take all of `super`, and tests the prelude that proptest's macros need",
};
static GROUPS: Rule = Rule {
    name: "groups",
    reason: "imports stand in three groups, a blank line between: std, third parties, ours \
             (stable rustfmt cannot do it)",
};

/// Where a path begins, in the order of the groups.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Origin {
    Std,
    ThirdParty,
    Ours,
}

/// An import as one line of code, however many lines it takes.
struct Import {
    line_number: usize,
    line_number_end: usize,
    is_indented: bool,
    code: String,
}

pub(super) fn check(source: &RustSource<'_>) -> Vec<Finding> {
    let imports = imports(source);
    let mut findings = Vec::new();
    for import in &imports {
        if import.code.contains('*') && !may_be_glob(source, import) {
            findings.push(Finding::error(
                &NO_GLOBS,
                import.line_number,
                import.code.clone(),
            ));
        }
    }
    for (above, below) in imports.iter().zip(imports.iter().skip(1)) {
        findings.extend(misplaced(source, above, below));
    }
    findings
}

fn may_be_glob(source: &RustSource<'_>, import: &Import) -> bool {
    match import.code.as_str() {
        "use super::*;" => import.is_indented || source.is_test(import.line_number),
        "use proptest::prelude::*;" => source.is_test(import.line_number),
        _ => false,
    }
}

/// Only neighbours are judged: what stands between two imports besides a blank line or a comment parts them.
fn misplaced(source: &RustSource<'_>, above: &Import, below: &Import) -> Option<Finding> {
    let between = source
        .lines
        .iter()
        .take(below.line_number - 1)
        .skip(above.line_number_end);
    let mut is_parted = false;
    for line in between {
        let code = line.code.trim();
        if !code.is_empty() && !code.starts_with("#[") {
            return None;
        }
        is_parted |= line.raw.trim().is_empty();
    }
    let what = match above.origin()?.cmp(&below.origin()?) {
        Ordering::Greater => "stands below a later group",
        Ordering::Less if !is_parted => "begins a group without a blank line above",
        Ordering::Equal | Ordering::Less => return None,
    };
    Some(Finding::error(
        &GROUPS,
        below.line_number,
        format!("`{}` {what}", below.code),
    ))
}

fn imports(source: &RustSource<'_>) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut open: Option<Import> = None;
    for (line_number, line) in source.numbered() {
        let code = line.code.trim();
        let mut import = match open.take() {
            Some(mut import) => {
                import.code.push_str(code);
                import
            }
            None if is_start(code) => Import {
                line_number,
                line_number_end: line_number,
                is_indented: line.code.starts_with(' '),
                code: code.to_owned(),
            },
            None => continue,
        };
        import.line_number_end = line_number;
        if import.code.ends_with(';') {
            imports.push(import);
        } else {
            open = Some(import);
        }
    }
    imports
}

/// Re-exports are a file's own list, in its own order: only their globs would be judged, so only `use` counts here.
fn is_start(code: &str) -> bool {
    code.starts_with("use ")
        || (code.starts_with("pub") && code.contains(" use ") && code.contains('*'))
}

// === impl Import ===

impl Import {
    /// None where either group is right: the workspace's other crates are third parties to one eye, ours to another.
    fn origin(&self) -> Option<Origin> {
        let (_, path) = self.code.split_once("use ")?;
        let name = path.trim_start_matches(':').split([':', ' ', ';']).next()?;
        match name {
            "std" | "core" | "alloc" => Some(Origin::Std),
            "crate" | "super" | "self" => Some(Origin::Ours),
            _ if name.starts_with("hookseal") => None,
            _ => Some(Origin::ThirdParty),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::broken;

    const PATH: &str = "crates/store/src/row.rs";

    #[track_caller]
    fn check(path: &str, code: &str, expect: &[&str]) {
        assert_eq!(
            broken(path, &format!("//! A row.\n{code}")),
            expect,
            "{code}"
        );
    }

    #[test]
    fn a_name_says_where_it_comes_from() {
        check(PATH, "use std::fmt;\n", &[]);
        check(PATH, "use std::fmt::*;\n", &["no-globs:2"]);
        check(PATH, "pub use row::*;\n", &["no-globs:2"]);
        check(
            PATH,
            "use row::{\n    Row,\n    column::*,\n};\n",
            &["no-globs:2"],
        );
        check(PATH, "use super::*;\n", &["no-globs:2"]);
        check(
            PATH,
            "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n",
            &[],
        );
        check(PATH, "mod inner {\n    use super::*;\n}\n", &[]);
        let in_test = "crates/store/tests/it/row.rs";
        check(in_test, "use proptest::prelude::*;\n", &[]);
        check(in_test, "use hookseal_store::*;\n", &["no-globs:2"]);
        check(PATH, "use proptest::prelude::*;\n", &["no-globs:2"]);
    }

    #[test]
    fn imports_stand_in_groups() {
        check(
            PATH,
            "use std::fmt;\n\nuse serde::Serialize;\n\nuse crate::a;\nuse hookseal_pki::b;\n",
            &[],
        );
        check(PATH, "use crate::a;\n\nuse std::fmt;\n", &["groups:4"]);
        check(
            PATH,
            "use std::fmt;\nuse serde::Serialize;\n",
            &["groups:3"],
        );
        check(PATH, "use crate::a;\nuse hookseal_pki::b;\n", &[]);
        check(PATH, "use std::fmt;\n// Why.\nuse std::io;\n", &[]);
        check(
            PATH,
            "fn a() {\n    use crate::a;\n}\nfn b() {\n    use std::fmt;\n}\n",
            &[],
        );
    }
}
