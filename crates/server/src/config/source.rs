//! Where values come from, and which of them wins: file, environment, `--set`, flags, in this order.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use crate::config::error::{ConfigError, Origin};
use crate::config::nearest::nearest;
use crate::config::section::{Chapter, Key};
use crate::config::value::Raw;

/// What every variable of ours starts with.
const PREFIX: &str = "HOOKSEAL_";
/// The variable that stands for `--config`.
pub const CONFIG_VARIABLE: &str = "HOOKSEAL_CONFIG";
/// The variable that stands for `--data-dir`.
pub const DATA_DIR_VARIABLE: &str = "HOOKSEAL_DATA_DIR";
/// Where the command line finds a running server, and what it shows it: no settings of the server.
pub const CLIENT_VARIABLES: [&str; 2] = ["HOOKSEAL_URL", "HOOKSEAL_TOKEN"];
/// Kubernetes sets these in every container beside a service that is called hookseal.
const SERVICE_LINKS: [&str; 2] = ["HOOKSEAL_SERVICE_", "HOOKSEAL_PORT"];

/// Everything that is said about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The environment; variables that are not ours are skipped.
    pub environment: Vec<(String, String)>,
    /// What `--set` says, in order.
    pub set: Vec<Assignment>,
    /// What the flags with names of their own say: flag, key and value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// `section.key=value`, as `--set` takes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    key: String,
    value: String,
}

/// A text that is no assignment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be section.key=value")]
pub struct NotAnAssignment;

/// The value of a key and where it came from.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// The sources laid over each other: one entry for each key that any of them names.
#[derive(Debug)]
pub(crate) struct Layers {
    known: BTreeMap<String, &'static Key>,
    entries: BTreeMap<String, Entry>,
}

// === impl Assignment ===

impl FromStr for Assignment {
    type Err = NotAnAssignment;

    fn from_str(text: &str) -> Result<Self, NotAnAssignment> {
        let (key, value) = text.split_once('=').ok_or(NotAnAssignment)?;
        let (section, name) = key.split_once('.').ok_or(NotAnAssignment)?;
        if section.is_empty() || name.is_empty() {
            return Err(NotAnAssignment);
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

// === impl Layers ===

impl Layers {
    /// Lays the sources over each other; what names no key is noted.
    pub(crate) fn new(
        chapters: &[Chapter],
        sources: &Sources,
        errors: &mut Vec<ConfigError>,
    ) -> Self {
        let keys = chapters.iter().flat_map(|chapter| chapter.keys);
        let mut layers = Self {
            known: keys.map(|key| (key.path(), key)).collect(),
            entries: BTreeMap::new(),
        };
        if let Some(path) = &sources.file {
            layers.add_file(path, errors);
        }
        layers.add_environment(&sources.environment, errors);
        for Assignment { key, value } in &sources.set {
            layers.add(key, raw_from_text(value), Origin::Flag("--set"), errors);
        }
        for (flag, key, value) in &sources.flags {
            layers.add(key, raw_from_text(value), Origin::Flag(flag), errors);
        }
        layers
    }

    /// What the sources say about a key.
    pub(crate) fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    fn add(&mut self, path: &str, raw: Raw, origin: Origin, errors: &mut Vec<ConfigError>) {
        if self.known.contains_key(path) {
            self.entries.insert(path.to_owned(), Entry { raw, origin });
        } else {
            errors.push(ConfigError::UnknownKey {
                name: path.to_owned(),
                origin,
                nearest: nearest(path, self.known.keys().map(String::as_str)),
            });
        }
    }

    fn add_file(&mut self, path: &Path, errors: &mut Vec<ConfigError>) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(source) => {
                let path = path.to_path_buf();
                errors.push(ConfigError::Unreadable { path, source });
                return;
            }
        };
        let at = |span: Range<usize>| Origin::File {
            path: path.to_path_buf(),
            line: line_of(&text, span.start),
        };
        let table = match DeTable::parse(&text) {
            Ok(table) => table,
            Err(error) => {
                errors.push(ConfigError::Syntax {
                    origin: at(error.span().unwrap_or_default()),
                    message: error.message().to_owned(),
                });
                return;
            }
        };
        for (section, value) in table.get_ref() {
            let DeValue::Table(settings) = value.get_ref() else {
                self.add(section.get_ref(), Raw::Nested, at(section.span()), errors);
                continue;
            };
            for (name, value) in settings {
                let key = format!("{}.{}", section.get_ref(), name.get_ref());
                self.add(
                    &key,
                    raw_from_toml(value.get_ref()),
                    at(name.span()),
                    errors,
                );
            }
        }
    }

    fn add_environment(&mut self, environment: &[(String, String)], errors: &mut Vec<ConfigError>) {
        let paths: BTreeMap<String, String> = self
            .known
            .iter()
            .map(|(path, key)| (key.variable(), path.clone()))
            .collect();
        for (name, value) in environment {
            if !name.starts_with(PREFIX)
                || [CONFIG_VARIABLE, DATA_DIR_VARIABLE].contains(&name.as_str())
                || CLIENT_VARIABLES.contains(&name.as_str())
                || SERVICE_LINKS.iter().any(|link| name.starts_with(link))
            {
                continue;
            }
            match paths.get(name) {
                Some(path) => {
                    let origin = Origin::Environment(name.clone());
                    self.add(path, raw_from_text(value), origin, errors);
                }
                None => errors.push(ConfigError::UnknownVariable {
                    name: name.clone(),
                    nearest: nearest(name, paths.keys().map(String::as_str)),
                }),
            }
        }
    }
}

/// Text from outside a file: TOML where it begins like a string or list of TOML, else as it is.
fn raw_from_text(text: &str) -> Raw {
    if text.starts_with(['[', '"', '\''])
        && let Ok(value) = DeValue::parse(text)
    {
        return raw_from_toml(value.get_ref());
    }
    Raw::One(text.to_owned())
}

fn raw_from_toml(value: &DeValue<'_>) -> Raw {
    if let DeValue::Array(items) = value {
        let texts: Option<_> = items.iter().map(|item| text_of(item.get_ref())).collect();
        return texts.map_or(Raw::Nested, Raw::Many);
    }
    text_of(value).map_or(Raw::Nested, Raw::One)
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(at) => Some(at.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        let parsed: Assignment = "auth.jwt_secret=a=b".parse().unwrap();
        assert_eq!(
            (parsed.key.as_str(), parsed.value.as_str()),
            ("auth.jwt_secret", "a=b")
        );
        for text in [
            "",
            "delivery.timeout",
            "timeout=5s",
            ".timeout=5s",
            "delivery.=5s",
        ] {
            assert_eq!(text.parse::<Assignment>(), Err(NotAnAssignment), "{text}");
        }
    }

    #[test]
    fn text_may_be_toml() {
        assert_eq!(raw_from_text("5s,5m"), Raw::One("5s,5m".to_owned()));
        let many = Raw::Many(vec!["5s".to_owned(), "5m".to_owned()]);
        assert_eq!(raw_from_text(r#"["5s", '5m']"#), many);
        assert_eq!(raw_from_text(r#""15s""#), Raw::One("15s".to_owned()));
        assert_eq!(raw_from_text("[::1]:80"), Raw::One("[::1]:80".to_owned()));
        assert_eq!(raw_from_text("[[1]]"), Raw::Nested);
    }
}
