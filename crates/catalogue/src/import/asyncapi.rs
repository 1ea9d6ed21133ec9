//! AsyncAPI 2.0 to 2.6, 3.0 and 3.1: the messages that the application sends.

use std::collections::BTreeSet;

use serde_json::Value;

use hookseal_domain::event_type::EventTypeName;

use crate::import::follow::{entries, followed, followed_schema};
use crate::import::schemas::ImportedSchemas;
use crate::import::{
    Fault, Imported, ImportedType, Own, Reader, WrongDocument, event_type_name, first_text,
};
use crate::json::{joined, steps};
use crate::standalone::{Dialect, Standalone, standalone};

const KIND: &str = "AsyncAPI 2, 3.0 or 3.1";
/// Why something is skipped.
const RECEIVED: &str = "is received by the application, not sent";

/// Reads a document.
pub fn import(document: &Value) -> Result<Imported, WrongDocument> {
    let version = document.get("asyncapi").and_then(Value::as_str);
    let version = version.unwrap_or_default();
    let mut messages = Messages {
        document,
        reader: Reader::new(document),
        seen: BTreeSet::new(),
    };
    if version.starts_with("3.0.") || version.starts_with("3.1.") {
        messages.of_version_3();
    } else if version.starts_with("2.") {
        messages.of_version_2();
    } else {
        return Err(WrongDocument::Kind(KIND));
    }
    messages.reader.finish("its channels that is sent")
}

struct Messages<'d> {
    document: &'d Value,
    reader: Reader<'d>,
    /// Where those stand that were read: several operations may send the same.
    seen: BTreeSet<String>,
}

impl<'d> Messages<'d> {
    /// There, `subscribe` is what others can do: those messages are sent.
    fn of_version_2(&mut self) {
        for (channel, pointer) in entries(self.document, "/channels") {
            let item = match followed(self.document, pointer) {
                Ok((at, _)) => at,
                Err(fault) => {
                    self.reader.refuse(fault);
                    continue;
                }
            };
            let received = joined(&item, "publish");
            if self.document.pointer(&received).is_some() {
                self.reader.skip(channel, &received, RECEIVED);
            }
            let message = joined(&joined(&item, "subscribe"), "message");
            let several = joined(&message, "oneOf");
            if let Some(list) = self.list(&several) {
                for at in 0..list.len() {
                    self.read(channel, joined(&several, &at.to_string()));
                }
            } else if self.document.pointer(&message).is_some() {
                self.read(channel, message);
            }
        }
    }

    /// What operations with the action `send` name; without any operations, whatever there is.
    fn of_version_3(&mut self) {
        let mut has_operations = false;
        for (name, pointer) in entries(self.document, "/operations") {
            has_operations = true;
            match followed(self.document, pointer) {
                Ok((at, operation)) => self.operation(name, &at, operation),
                Err(fault) => self.reader.refuse(fault),
            }
        }
        if has_operations {
            return;
        }
        let mut has_channels = false;
        for (_, pointer) in entries(self.document, "/channels") {
            has_channels = true;
            self.read_channel(pointer);
        }
        if !has_channels {
            self.read_all("/components/messages");
        }
    }

    fn operation(&mut self, name: &str, at: &str, operation: &Value) {
        if operation.get("action").and_then(Value::as_str) != Some("send") {
            return self.reader.skip(name, at, RECEIVED);
        }
        let messages = joined(at, "messages");
        match self.list(&messages) {
            Some(list) => {
                for item in 0..list.len() {
                    self.read(name, joined(&messages, &item.to_string()));
                }
            }
            None => self.read_channel(joined(at, "channel")),
        }
    }

    fn read_channel(&mut self, pointer: String) {
        match followed(self.document, pointer) {
            Ok((channel, _)) => self.read_all(&joined(&channel, "messages")),
            Err(fault) => self.reader.refuse(fault),
        }
    }

    fn read_all(&mut self, pointer: &str) {
        for (name, pointer) in entries(self.document, pointer) {
            self.read(name, pointer);
        }
    }

    /// Reads a message, once; `called` is what the document calls it if it calls it nothing else.
    fn read(&mut self, called: &str, pointer: String) {
        if self.reader.has_seen_enough() {
            return;
        }
        match followed(self.document, pointer) {
            Ok((at, _)) if self.seen.contains(&at) => {}
            Ok((at, message)) => {
                self.seen.insert(at.clone());
                let read = event_type(&mut self.reader, called, at, message);
                self.reader.take(read);
            }
            Err(fault) => self.reader.refuse(fault),
        }
    }

    fn list(&self, pointer: &str) -> Option<&'d Vec<Value>> {
        self.document.pointer(pointer)?.as_array()
    }
}

fn event_type(
    reader: &mut Reader<'_>,
    called: &str,
    at: String,
    message: &Value,
) -> Result<ImportedType, Fault> {
    let document = reader.document;
    let own = Own::read(message, &at)?;
    let name = event_type_name(&name(&own, called, &at, message), &at)?;
    let payload = joined(&at, "payload");
    let newest = match message.get("payload") {
        None => None,
        Some(_) => Some(schema(reader, payload, message)?),
    };
    Ok(ImportedType {
        name,
        description: first_text(&[message], &["description", "summary", "title"]),
        deprecated: own.deprecated,
        schemas: ImportedSchemas::read(document, &at, &own, newest, &mut reader.room)?,
        pointer: at,
        own,
    })
}

/// The first of its names that an event type can have; what this server says comes before all.
fn name(own: &Own, called: &str, at: &str, message: &Value) -> String {
    if let Some(name) = &own.name {
        return name.clone();
    }
    let given = [message.get("name"), message.get("messageId")];
    let given = given.into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<String> = given.map(str::to_owned).collect();
    // The last step of where it stands is its name among the components, or just a place in a list.
    let last = steps(at).last().unwrap_or_default();
    if !matches!(last.as_str(), "message" | "") && !last.bytes().all(|b| b.is_ascii_digit()) {
        names.push(last);
    }
    names.push(called.trim_matches('/').replace('/', "."));
    let usable = names.iter().find(|name| EventTypeName::parse(name).is_ok());
    usable.or(names.first()).cloned().unwrap_or_default()
}

fn schema(reader: &mut Reader<'_>, payload: String, message: &Value) -> Result<Standalone, Fault> {
    let document = reader.document;
    let (at, found) = followed_schema(document, payload)?;
    // In 3 the format stands with the schema, in 2 with the message.
    let with_format = found.get("schemaFormat").and_then(Value::as_str);
    let (schema, format) = match with_format {
        Some(format) => {
            let (schema, _) = followed_schema(document, joined(&at, "schema"))?;
            (schema, Some(format))
        }
        None => (at, message.get("schemaFormat").and_then(Value::as_str)),
    };
    let dialect = dialect(format).map_err(|rule| Fault::at(&schema, rule))?;
    standalone(document, &schema, dialect, &mut reader.room)
}

/// AsyncAPI's own schemas are a superset of draft 7.
fn dialect(format: Option<&str>) -> Result<Dialect, String> {
    let Some(format) = format else {
        return Ok(Dialect::Draft7);
    };
    let essence = format.split(';').next().unwrap_or_default().trim();
    let essence = essence.trim_end_matches("+json").trim_end_matches("+yaml");
    match essence {
        "application/vnd.aai.asyncapi" => Ok(Dialect::Draft7),
        "application/vnd.oai.openapi" => Ok(Dialect::OpenApi30),
        "application/schema" if format.contains("2020-12") => Ok(Dialect::Draft202012),
        "application/schema" => Ok(Dialect::Draft7),
        _ => Err(format!(
            "is in the format `{format}`, which is no JSON Schema"
        )),
    }
}
