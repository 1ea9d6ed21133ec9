//! Which crate may know of which: `pki ← domain ← egress ← engine ← server`,
//! `domain ← store ← engine` and `domain ← catalogue ← engine`.

use toml::{Table, Value};

use crate::tidy::{File, Finding, Rule};

static CUT: Rule = Rule {
    name: "dependency-cut",
    reason: "a crate knows only what stands below it (ARCHITECTURE.md, \"The crates\"): a dependency that is not listed \
             is an invariant that Cargo enforces",
};

/// A crate of the workspace: which of ours it may use, and which of others' it must not know.
struct Place {
    path: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

/// Only for tests, so that nothing that ships can come to need it.
const TESTKIT: &str = "hookseal-testkit";

const PLACES: [Place; 10] = [
    Place {
        path: "crates/pki/Cargo.toml",
        ours: &[],
        never: &["axum", "http", "hyper", "rusqlite", "rustls", "tokio"],
    },
    Place {
        path: "crates/domain/Cargo.toml",
        ours: &["hookseal-pki"],
        never: &["axum", "http", "hyper", "rusqlite", "rustls", "tokio"],
    },
    Place {
        path: "crates/catalogue/Cargo.toml",
        ours: &["hookseal-domain"],
        never: &["axum", "http", "hyper", "rusqlite", "rustls", "tokio"],
    },
    Place {
        path: "crates/egress/Cargo.toml",
        ours: &["hookseal-domain", "hookseal-pki"],
        never: &["axum", "rusqlite"],
    },
    Place {
        path: "crates/store/Cargo.toml",
        ours: &["hookseal-domain", "hookseal-pki"],
        never: &["axum", "http", "hyper", "rustls"],
    },
    Place {
        path: "crates/engine/Cargo.toml",
        ours: &[
            "hookseal-catalogue",
            "hookseal-domain",
            "hookseal-egress",
            "hookseal-pki",
            "hookseal-store",
        ],
        never: &["axum", "hyper", "rusqlite", "rustls"],
    },
    Place {
        path: "crates/server/Cargo.toml",
        ours: &[
            "hookseal-catalogue",
            "hookseal-domain",
            "hookseal-egress",
            "hookseal-engine",
            "hookseal-pki",
            "hookseal-store",
        ],
        never: &["rusqlite"],
    },
    Place {
        path: "crates/testkit/Cargo.toml",
        ours: &["hookseal-domain", "hookseal-pki"],
        never: &["rusqlite"],
    },
    // The yardstick is not made of what it measures.
    Place {
        path: "bench/Cargo.toml",
        ours: &[],
        never: &["rusqlite"],
    },
    Place {
        path: "xtask/Cargo.toml",
        ours: &["hookseal-pki"],
        never: &["rusqlite"],
    },
];

pub(super) fn check(file: File<'_>) -> Vec<Finding> {
    let Ok(manifest) = file.text.parse::<Table>() else {
        return vec![Finding::error(&CUT, 1, "is not TOML")];
    };
    if !manifest.contains_key("package") {
        return Vec::new();
    }
    let Some(place) = PLACES.iter().find(|place| place.path == file.path) else {
        return vec![Finding::error(
            &CUT,
            1,
            "has no place in the table of tidy/dependency_cut.rs",
        )];
    };
    let mut findings = Vec::new();
    for section in sections(&manifest) {
        for name in section.names {
            if !place.allows(&name, section.is_for_tests) {
                let line_number = line_number(file.text, &name);
                findings.push(Finding::error(
                    &CUT,
                    line_number,
                    format!("depends on {name}"),
                ));
            }
        }
    }
    findings
}

/// One list of dependencies in a manifest.
struct Section {
    is_for_tests: bool,
    names: Vec<String>,
}

fn sections(manifest: &Table) -> Vec<Section> {
    let mut sections = sections_of(manifest);
    let targets = manifest.get("target").and_then(Value::as_table);
    for target in targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table)
    {
        sections.extend(sections_of(target));
    }
    sections
}

fn sections_of(table: &Table) -> Vec<Section> {
    let kinds = [
        ("dependencies", false),
        ("build-dependencies", false),
        ("dev-dependencies", true),
    ];
    let mut sections = Vec::new();
    for (kind, is_for_tests) in kinds {
        if let Some(list) = table.get(kind).and_then(Value::as_table) {
            sections.push(Section {
                is_for_tests,
                names: list.iter().map(real_name).collect(),
            });
        }
    }
    sections
}

/// A dependency may be renamed where it is used.
fn real_name((name, value): (&String, &Value)) -> String {
    let package = value.get("package").and_then(Value::as_str);
    package.unwrap_or(name).to_owned()
}

fn line_number(text: &str, name: &str) -> usize {
    let found = (1..)
        .zip(text.lines())
        .find(|(_, line)| line.starts_with(name));
    found.map_or(1, |(line_number, _)| line_number)
}

// === impl Place ===

impl Place {
    fn allows(&self, name: &str, is_for_tests: bool) -> bool {
        if name == TESTKIT {
            return is_for_tests;
        }
        if name.starts_with("hookseal") {
            return self.ours.contains(&name);
        }
        is_for_tests || !self.never.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::broken;

    #[track_caller]
    fn check(path: &str, dependencies: &str, expect: &[&str]) {
        let manifest = format!("[package]\nname = \"a\"\n{dependencies}");
        assert_eq!(broken(path, &manifest), expect, "{dependencies}");
    }

    #[test]
    fn a_crate_knows_only_what_stands_below_it() {
        check(
            "crates/domain/Cargo.toml",
            "[dependencies]\nhookseal-pki.workspace = true\n",
            &[],
        );
        check(
            "crates/domain/Cargo.toml",
            "[dependencies]\nhookseal-store.workspace = true\n",
            &["dependency-cut:4"],
        );
        check(
            "crates/pki/Cargo.toml",
            "[dependencies]\ntokio.workspace = true\n",
            &["dependency-cut:4"],
        );
        check(
            "crates/pki/Cargo.toml",
            "[dev-dependencies]\ntokio.workspace = true\n",
            &[],
        );
        check(
            "crates/engine/Cargo.toml",
            "[target.'cfg(unix)'.dependencies]\nhyper = \"1\"\n",
            &["dependency-cut:4"],
        );
        check(
            "crates/pki/Cargo.toml",
            "[dependencies]\na = { package = \"rustls\" }\n",
            &["dependency-cut:1"],
        );
    }

    #[test]
    fn the_testkit_is_for_tests() {
        let path = "crates/server/Cargo.toml";
        check(
            path,
            "[dev-dependencies]\nhookseal-testkit.workspace = true\n",
            &[],
        );
        check(
            path,
            "[dependencies]\nhookseal-testkit.workspace = true\n",
            &["dependency-cut:4"],
        );
    }

    #[test]
    fn every_crate_has_a_place() {
        check("crates/new/Cargo.toml", "", &["dependency-cut:1"]);
        check("crates/server/tests/interop/rust/Cargo.toml", "", &[]);
        assert_eq!(broken("Cargo.toml", "[workspace]\nmembers = []\n"), [""; 0]);
    }
}
