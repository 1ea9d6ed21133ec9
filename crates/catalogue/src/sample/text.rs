//! Texts for examples: by format, by regular expression, or just a word.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::Value;

use crate::sample::parts::Parts;

/// Longest text, in bytes, though the schema may ask for more.
const BYTES_MAX: usize = 1_000;

/// Texts by the formats of JSON Schema, and those of OpenAPI.
const FORMATS: [(&str, &str); 20] = [
    ("byte", "ZXhhbXBsZQ=="),
    ("date", "2026-01-31"),
    ("date-time", "2026-01-31T12:00:00Z"),
    ("duration", "P1D"),
    ("email", "jane@example.com"),
    ("hostname", "example.com"),
    ("idn-email", "jane@example.com"),
    ("idn-hostname", "example.com"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("iri", "https://example.com/"),
    ("iri-reference", "/example"),
    ("json-pointer", "/example"),
    ("regex", "^[a-z]+$"),
    ("relative-json-pointer", "0"),
    ("time", "12:00:00Z"),
    ("uri", "https://example.com/"),
    ("uri-reference", "/example"),
    ("uri-template", "https://example.com/{id}"),
    ("uuid", "00000000-0000-4000-8000-000000000001"),
];

/// A text that these schemas allow, the `nth` of several.
pub(super) fn text(parts: &Parts<'_>, nth: u64) -> String {
    let min = length(parts.most("minLength")).min(BYTES_MAX);
    let max = length(parts.least("maxLength").or(Some(u64::MAX))).min(BYTES_MAX);
    if let Some(made) = parts
        .first("pattern")
        .and_then(|pattern| by_pattern(pattern, min))
    {
        return made;
    }
    let format = parts.first("format").and_then(Value::as_str);
    let known = FORMATS.iter().find(|(name, _)| Some(*name) == format);
    if let Some((_, text)) = known {
        let fits = (min..=max).contains(&text.chars().count());
        if fits && nth == 0 {
            return (*text).to_owned();
        }
    }
    let mut text = match nth {
        0 => "string".to_owned(),
        // In front, where nothing is cut off.
        _ => format!("{nth}-string"),
    };
    let missing = min.saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('x', missing));
    text.chars().take(max).collect()
}

fn length(given: Option<u64>) -> usize {
    given.map_or(0, |given| usize::try_from(given).unwrap_or(usize::MAX))
}

/// A text that matches, as long as is asked for if the expression repeats anything.
fn by_pattern(pattern: &Value, min: usize) -> Option<String> {
    let parsed = regex_syntax::parse(pattern.as_str()?).ok()?;
    for more in 0..=min {
        let mut text = String::new();
        write(&parsed, more, &mut text)?;
        if text.chars().count() >= min {
            return Some(text);
        }
    }
    None
}

/// Appends what matches, each repetition with `more` rounds than it needs.
fn write(hir: &Hir, more: usize, to: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => to.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => to.push(member(class)?),
        HirKind::Capture(capture) => write(&capture.sub, more, to)?,
        HirKind::Concat(all) => {
            for hir in all {
                write(hir, more, to)?;
            }
        }
        HirKind::Alternation(all) => write(all.first()?, more, to)?,
        HirKind::Repetition(repetition) => {
            let rounds = length(Some(u64::from(repetition.min))).saturating_add(more);
            let most = repetition
                .max
                .map_or(usize::MAX, |max| length(Some(u64::from(max))));
            for _ in 0..rounds.min(most) {
                if to.len() > BYTES_MAX {
                    return None;
                }
                write(&repetition.sub, more, to)?;
            }
        }
    }
    (to.len() <= BYTES_MAX).then_some(())
}

/// A character of a class, rather one that can be read.
fn member(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let holds = |c: &char| {
        class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(c))
    };
    let readable = ('a'..='z').chain('A'..='Z').chain('0'..='9');
    let found = readable.into_iter().find(holds);
    found.or_else(|| class.iter().next().map(|range| range.start()))
}
