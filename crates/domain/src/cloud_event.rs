//! An event's context as CloudEvents 1.0 has it: kept as it was given, and written in either mode.
//!
//! **Invariant:** pure. What was published as a CloudEvent is delivered with the same attributes; the
//! payload's bytes are never written anew.

use std::collections::BTreeMap;
use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::event_type::EventTypeName;
use crate::id::{AppId, MessageId};
use crate::time::Timestamp;
use crate::violation::Violation;

/// The version of the specification.
pub const SPEC_VERSION: &str = "1.0";
/// Most optional and extension attributes: all are headers in binary mode.
const ATTRIBUTES_MAX: usize = 32;
/// Longest name: the specification says that it should be at most 20.
const NAME_BYTES_MAX: usize = 32;
/// Most bytes of all attributes with their names: common servers refuse 8 KiB of headers in all.
const BYTES_MAX: usize = 4096;
/// What is not an attribute besides the required ones.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// A value of an attribute (CloudEvents 1.0, "Type System"); of the other types only the text is known.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Attribute {
    /// Boolean.
    Bool(bool),
    /// Integer.
    Integer(i32),
    /// String, URI, URI-reference, timestamp or binary.
    Text(String),
}

/// An event's context without its type, which the message has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CloudEvent {
    id: String,
    source: String,
    /// `subject`, `time`, `datacontenttype`, `dataschema` and extensions.
    attributes: BTreeMap<String, Attribute>,
}

// === impl CloudEvent ===

impl CloudEvent {
    /// Checks what a client gave; the error says of which attribute.
    pub fn checked(
        id: Option<String>,
        source: Option<String>,
        attributes: BTreeMap<String, Attribute>,
    ) -> Result<Self, (String, Violation)> {
        let required = |name: &str, given: Option<String>| match given {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err((
                name.to_owned(),
                Violation::new("value_error.missing", "must be given"),
            )),
        };
        let event = Self {
            id: required("id", id)?,
            source: required("source", source)?,
            attributes,
        };
        check_text(&event.id).map_err(|violation| ("id".to_owned(), violation))?;
        check_uri(&event.source).map_err(|violation| ("source".to_owned(), violation))?;
        if event.attributes.len() > ATTRIBUTES_MAX {
            let message = format!("must have at most {ATTRIBUTES_MAX} optional attributes");
            let violation = Violation::new("value_error.map.max_items", message);
            return Err((String::new(), violation));
        }
        for (name, value) in &event.attributes {
            check_attribute(name, value).map_err(|violation| (name.clone(), violation))?;
        }
        if event.bytes() > BYTES_MAX {
            let message = format!("must have at most {BYTES_MAX} bytes of attributes");
            return Err((String::new(), Violation::new("value_error.length", message)));
        }
        Ok(event)
    }

    /// That of a message that was published in another way: its own id, and its application as the
    /// source.
    pub fn of_message(app: AppId, message: MessageId) -> Self {
        let time = Attribute::Text(message.created_at().to_string());
        let json = Attribute::Text("application/json".to_owned());
        Self {
            id: message.to_string(),
            source: format!("/app/{app}"),
            attributes: BTreeMap::from([
                ("time".to_owned(), time),
                ("datacontenttype".to_owned(), json),
            ]),
        }
    }

    /// What source and id together stand for, which are unique to an event (CloudEvents 1.0, "id").
    pub fn unique_name(&self) -> String {
        let mut context = Context::new(&SHA256);
        context.update(self.source.as_bytes());
        context.update(&[0]);
        context.update(self.id.as_bytes());
        format!("ce_{}", URL_SAFE_NO_PAD.encode(context.finish()))
    }

    /// The event in structured mode (JSON format), with the payload as it is.
    pub fn structured(&self, event_type: &EventTypeName, payload: &[u8]) -> Vec<u8> {
        let mut members = serde_json::Map::new();
        for (name, value) in &self.attributes {
            let value = match value {
                Attribute::Bool(value) => Json::from(*value),
                Attribute::Integer(value) => Json::from(*value),
                Attribute::Text(value) => Json::from(value.as_str()),
            };
            members.insert(name.clone(), value);
        }
        for (name, value) in self.required(event_type) {
            members.insert(name.to_owned(), Json::from(value));
        }
        let mut event = Json::Object(members).to_string().into_bytes();
        // An object that is not empty: its last byte closes it.
        event.pop();
        event.extend_from_slice(b",\"data\":");
        event.extend_from_slice(payload);
        event.push(b'}');
        event
    }

    /// The headers in binary mode: names and values, the content type of the data among them.
    pub fn binary(&self, event_type: &EventTypeName) -> Vec<(String, String)> {
        let required = self.required(event_type);
        let mut headers: Vec<_> = required
            .iter()
            .map(|(name, value)| (format!("ce-{name}"), encoded(value)))
            .collect();
        let mut content_type = "application/json".to_owned();
        for (name, value) in &self.attributes {
            let text = match value {
                Attribute::Bool(value) => value.to_string(),
                Attribute::Integer(value) => value.to_string(),
                Attribute::Text(value) if name == "datacontenttype" => {
                    content_type.clone_from(value);
                    continue;
                }
                Attribute::Text(value) => encoded(value),
            };
            headers.push((format!("ce-{name}"), text));
        }
        headers.push(("content-type".to_owned(), content_type));
        headers
    }

    fn required<'e>(&'e self, event_type: &'e EventTypeName) -> [(&'static str, &'e str); 4] {
        let [version, id, source, kind] = REQUIRED;
        [
            (version, SPEC_VERSION),
            (id, &self.id),
            (source, &self.source),
            (kind, event_type.as_str()),
        ]
    }

    fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let value = match value {
                Attribute::Bool(_) | Attribute::Integer(_) => 12,
                Attribute::Text(text) => text.len(),
            };
            name.len() + value
        });
        self.id.len() + self.source.len() + attributes.sum::<usize>()
    }
}

fn check_attribute(name: &str, value: &Attribute) -> Result<(), Violation> {
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let reserved = REQUIRED.contains(&name) || name == "data";
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fit) || reserved {
        return Err(Violation::new(
            "value_error.pattern",
            format!("must be named by 1 to {NAME_BYTES_MAX} lower-case letters and digits"),
        ));
    }
    let optional = ["subject", "time", "datacontenttype", "dataschema"].contains(&name);
    let Attribute::Text(text) = value else {
        return if optional {
            Err(Violation::new("type_error", "must be a string"))
        } else {
            Ok(())
        };
    };
    check_text(text)?;
    match name {
        "subject" | "dataschema" | "time" | "datacontenttype" if text.is_empty() => Err(
            Violation::new("value_error.length", "must not be empty; leave it out"),
        ),
        "dataschema" => check_uri(text),
        "time" => Timestamp::parse_rfc3339(text)
            .map(|_| ())
            .map_err(|error| Violation::new("value_error.datetime", error.to_string())),
        "datacontenttype" if !is_json(text) => Err(Violation::new(
            "value_error.not_supported",
            "must be application/json or another type of JSON: payloads are JSON objects",
        )),
        _ => Ok(()),
    }
}

/// Control characters are not allowed (CloudEvents 1.0, "String").
fn check_text(text: &str) -> Result<(), Violation> {
    if text.chars().any(char::is_control) {
        return Err(Violation::new(
            "value_error.pattern",
            "must not contain control characters",
        ));
    }
    Ok(())
}

/// The characters of a URI-reference (RFC 3986).
fn check_uri(text: &str) -> Result<(), Violation> {
    let fit = |c: char| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c);
    if text.chars().all(fit) {
        return Ok(());
    }
    Err(Violation::new(
        "value_error.url",
        "must be a URI or a reference to one",
    ))
}

/// Whether a media type stands for JSON (RFC 6839 §3.1).
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_visible = media_type.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    is_visible
        && (essence == "application/json"
            || essence
                .strip_suffix("+json")
                .is_some_and(|of| of.contains('/')))
}

/// A text as a header has it (CloudEvents HTTP binding, "HTTP Header Values").
fn encoded(text: &str) -> String {
    let mut header = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            header.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            _ = write!(header, "%{byte:02X}");
        }
    }
    header
}

/// What a header's value says; `None` if it is no text.
pub fn decoded(header: &str) -> Option<String> {
    // Older senders put a value in quotes, which is to be taken as what stands in them.
    let inner = header
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let text = match inner {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => header.to_owned(),
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let pair = digit(*high).zip(digit(*low));
                pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*byte));
        let taken = if escaped.is_some() { 3 } else { 1 };
        rest = rest.get(taken..).unwrap_or_default();
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(attributes: &[(&str, Attribute)]) -> Result<CloudEvent, (String, Violation)> {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        CloudEvent::checked(
            Some("1".to_owned()),
            Some("/shop".to_owned()),
            attributes.collect(),
        )
    }

    fn text(text: &str) -> Attribute {
        Attribute::Text(text.to_owned())
    }

    #[test]
    fn both_modes_say_the_same() {
        let event = event(&[
            ("subject", text("größe 100%")),
            ("time", text("2026-11-23T08:20:00Z")),
            ("datacontenttype", text("application/vnd.shop+json")),
            ("sampled", Attribute::Bool(true)),
            ("retries", Attribute::Integer(-3)),
        ]);
        let event = event.unwrap();
        let paid = EventTypeName::parse("invoice.paid").unwrap();
        let payload = br#"{ "exact": 0.1000, "big": 1e400 }"#;
        assert_eq!(
            String::from_utf8(event.structured(&paid, payload)).unwrap(),
            "{\"datacontenttype\":\"application/vnd.shop+json\",\"id\":\"1\",\"retries\":-3,\
             \"sampled\":true,\"source\":\"/shop\",\"specversion\":\"1.0\",\"subject\":\"größe 100%\",\
             \"time\":\"2026-11-23T08:20:00Z\",\"type\":\"invoice.paid\",\
             \"data\":{ \"exact\": 0.1000, \"big\": 1e400 }}"
        );
        let headers = event.binary(&paid);
        let header = |name: &str| {
            let found = headers.iter().find(|(found, _)| found == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(header("ce-specversion"), Some("1.0"));
        assert_eq!(header("ce-subject"), Some("gr%C3%B6%C3%9Fe%20100%25"));
        assert_eq!(header("ce-sampled"), Some("true"));
        assert_eq!(header("ce-retries"), Some("-3"));
        assert_eq!(header("content-type"), Some("application/vnd.shop+json"));
        assert_eq!(header("ce-datacontenttype"), None);
    }

    #[test]
    fn attributes_have_rules() {
        let check = |name: &str, value: Attribute, rule: &str| {
            let (at, violation) = event(&[(name, value)]).unwrap_err();
            assert_eq!((at.as_str(), violation.rule), (name, rule));
        };
        check("Subject", text("x"), "value_error.pattern");
        check("trace_id", text("x"), "value_error.pattern");
        check("id", text("x"), "value_error.pattern");
        check("data", text("x"), "value_error.pattern");
        check("subject", Attribute::Bool(true), "type_error");
        check("subject", text(""), "value_error.length");
        check("note", text("a\nb"), "value_error.pattern");
        check("time", text("yesterday"), "value_error.datetime");
        check(
            "datacontenttype",
            text("text/xml"),
            "value_error.not_supported",
        );
        check("dataschema", text("a b"), "value_error.url");
        let long = event(&[("note", text(&"x".repeat(4096)))]);
        assert_eq!(long.unwrap_err().1.rule, "value_error.length");
        let nameless = CloudEvent::checked(None, Some("/".to_owned()), BTreeMap::new());
        assert_eq!(nameless.unwrap_err().0, "id");
    }

    #[test]
    fn source_and_id_together_are_unique() {
        let of = |source: &str, id: &str| {
            let event = CloudEvent::checked(
                Some(id.to_owned()),
                Some(source.to_owned()),
                BTreeMap::new(),
            );
            event.unwrap().unique_name()
        };
        assert_eq!(of("/a", "1"), of("/a", "1"));
        assert_ne!(of("/a", "1"), of("/a", "2"));
        assert_ne!(of("/a", "1"), of("/b", "1"));
        assert_ne!(of("/a1", "1"), of("/a", "11"));
        assert!(crate::uid::Uid::parse(&of("/a", "1"), MessageId::PREFIX).is_ok());
    }

    proptest! {
        #[test]
        fn headers_carry_any_text(text in any::<String>()) {
            let header = encoded(&text);
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decoded(&header), Some(text));
        }

        #[test]
        fn any_header_is_an_answer(header in any::<String>()) {
            _ = decoded(&header);
        }
    }
}
