//! Writes the configuration's reference from its sections. Must never say what they do not say.

use crate::config::chapters;
use crate::config::section::Key;
use crate::config::value::{Shape, items};

const TOML_HEAD: &str = "\
# The configuration of Hookseal: every key with its meaning and its default. A line that begins
# with # and a key sets nothing; remove the # to set it. Generated: change the sections in
# crates/server/src/config and run `cargo xtask gen`.
";

const MARKDOWN_HEAD: &str = "\
# Configuration

<!-- Generated: change the sections in crates/server/src/config and run `cargo xtask gen`. -->

Nothing has to be configured. What is, is taken from these sources; a later one wins over an earlier
one:

1. the defaults below;
2. the TOML file that `--config FILE` or `HOOKSEAL_CONFIG` names;
3. environment variables: `HOOKSEAL_`, the section, `_`, and the key, in capitals;
4. `--set section.key=value`, as often as needed;
5. `--listen` and `--admin-listen` of `hookseal serve`.

`--data-dir DIR` or `HOOKSEAL_DATA_DIR` names the data directory, `data` by default. It holds the
keys and, unless `store.url` says otherwise, the database.

In the environment and after `--set` a list is written with commas between its items
(`--set delivery.retry_schedule=5s,1m`) or as in TOML, and an empty value takes back what the file
said of a key that may be absent. Relative paths count from the working directory.

An unknown key or variable and a value that does not fit are errors. They are all told at once,
before a port is opened, and the exit code is 78.
";

/// The text of `config.default.toml`.
pub fn default_toml() -> String {
    let mut text = TOML_HEAD.to_owned();
    for chapter in chapters() {
        text.push('\n');
        push_comment(&mut text, chapter.doc);
        text.push_str(&format!("[{}]\n", chapter.name));
        for key in chapter.keys {
            text.push('\n');
            push_comment(&mut text, key.doc);
            push_comment(&mut text, &[&format!(" Must be {}.", key.expected())]);
            let value = written(key, key.default.or(key.example).unwrap_or_default());
            text.push_str(&format!("#{} = {value}\n", key.name));
        }
    }
    text
}

/// The text of `docs/reference/configuration.md`.
pub fn markdown() -> String {
    let mut text = MARKDOWN_HEAD.to_owned();
    for chapter in chapters() {
        text.push_str(&format!("\n## `{}`\n\n", chapter.name));
        push_paragraph(&mut text, chapter.doc);
        for key in chapter.keys {
            text.push_str(&format!("\n### `{}`\n\n", key.path()));
            push_paragraph(&mut text, key.doc);
            text.push_str(&format!("\n- Must be {}.\n", key.expected()));
            let default = key.default.map(|value| written(key, value));
            let default = default.map_or("absent".to_owned(), |value| format!("`{value}`"));
            text.push_str(&format!("- Default: {default}.\n"));
            if let Some(example) = key.example {
                text.push_str(&format!("- Example: `{}`.\n", written(key, example)));
            }
            text.push_str(&format!("- Environment: `{}`.\n", key.variable()));
        }
    }
    text
}

/// Doc lines begin with a blank of their own.
fn push_comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(format!("#{line}").trim_end());
        text.push('\n');
    }
}

fn push_paragraph(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(line.trim());
        text.push('\n');
    }
}

/// The value as TOML has it.
fn written(key: &Key, value: &str) -> String {
    let item = |text: &str| {
        if key.quoted {
            format!("{text:?}")
        } else {
            text.to_owned()
        }
    };
    if key.shape != Shape::List {
        return item(value);
    }
    let items = items(value, key.commas);
    let items = items.iter().filter(|text| !text.is_empty());
    let items: Vec<_> = items.map(|text| item(text)).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::source::{Assignment, Sources};
    use crate::config::{Config, chapters};

    use super::*;

    #[test]
    fn every_default_and_every_example_is_taken() {
        let defaults = Config::load(PathBuf::from("data"), &Sources::default()).unwrap();
        let uncommented = with_every_key_set();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &uncommented).unwrap();
        let sources = Sources {
            file: Some(file.path().to_path_buf()),
            ..Sources::default()
        };
        let all = Config::load(PathBuf::from("data"), &sources).unwrap();
        assert_eq!(
            format!("{:?}", all.delivery),
            format!("{:?}", defaults.delivery)
        );
        assert!(all.egress.extra_roots.is_some(), "{uncommented}");
    }

    /// `config.default.toml` without the marks that keep its keys from being set.
    fn with_every_key_set() -> String {
        let lines = default_toml();
        let set = lines.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        });
        set.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_bound_is_a_value_of_its_key() {
        for key in chapters().iter().flat_map(|chapter| chapter.keys) {
            for bound in key.range.iter().flat_map(|(min, max)| [min, max]) {
                // The shortest history goes with a short schedule only.
                let texts = [
                    "delivery.retry_schedule=".to_owned(),
                    format!("{}={bound}", key.path()),
                ];
                let set = texts.map(|text| text.parse::<Assignment>().unwrap());
                let sources = Sources {
                    set: set.to_vec(),
                    ..Sources::default()
                };
                Config::load(PathBuf::from("data"), &sources).unwrap();
            }
        }
    }

    #[test]
    fn values_are_written_as_toml_has_them() {
        let text = default_toml();
        for line in [
            "#listen = \"127.0.0.1:8071\"",
            "#retry_schedule = [\"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]",
            "#allow_networks = []",
            "#connections_max = 4096",
            "#allow_plaintext = false",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }
}
