//! OpenAPI 3.0, 3.1 and 3.2: what stands in `webhooks` or `x-webhooks`.

use serde_json::Value;

use crate::import::follow::{entries, followed, followed_schema};
use crate::import::schemas::ImportedSchemas;
use crate::import::{
    Fault, Imported, ImportedType, Own, Reader, WrongDocument, event_type_name, first_text,
};
use crate::json::joined;
use crate::standalone::{Dialect, Standalone, standalone};

const KIND: &str = "OpenAPI 3.0, 3.1 or 3.2";
/// Where webhooks stand: the second is what documents of 3.0 use.
const SECTIONS: [&str; 2] = ["/webhooks", "/x-webhooks"];
/// The operations of a path, the usual one first.
const METHODS: [&str; 8] = [
    "post", "put", "patch", "get", "delete", "options", "head", "trace",
];

/// Reads a document.
pub fn import(document: &Value) -> Result<Imported, WrongDocument> {
    let version = document.get("openapi").and_then(Value::as_str);
    let dialect = match version.and_then(|version| version.get(..4)) {
        Some("3.0.") => Dialect::OpenApi30,
        Some("3.1." | "3.2.") => Dialect::Draft202012,
        _ => return Err(WrongDocument::Kind(KIND)),
    };
    let named = document.get("jsonSchemaDialect").and_then(Value::as_str);
    let dialect = match named {
        Some(named) if named.contains("draft-07") => Dialect::Draft7,
        _ => dialect,
    };
    let mut reader = Reader::new(document);
    let mut found = SECTIONS
        .into_iter()
        .flat_map(|section| entries(document, section));
    while !reader.has_seen_enough()
        && let Some((name, pointer)) = found.next()
    {
        let read = webhook(&mut reader, name, pointer, dialect);
        reader.take(read);
    }
    reader.finish("`webhooks` and `x-webhooks`")
}

fn webhook(
    reader: &mut Reader<'_>,
    name: &str,
    pointer: String,
    dialect: Dialect,
) -> Result<ImportedType, Fault> {
    let document = reader.document;
    let (item_at, item) = followed(document, pointer.clone())?;
    let mut methods = METHODS.into_iter();
    let method = methods.find(|method| item.get(*method).is_some());
    let method = method.ok_or_else(|| Fault::at(&item_at, "has no operation"))?;
    let at = joined(&item_at, method);
    let operation = item.get(method).unwrap_or(&Value::Null);
    let own = Own::read(operation, &at)?;
    let name = event_type_name(own.name.as_deref().unwrap_or(name), &pointer)?;
    let newest = match operation.get("requestBody") {
        None => None,
        Some(_) => Some(body(reader, joined(&at, "requestBody"), dialect)?),
    };
    let is_deprecated = operation.get("deprecated") == Some(&Value::Bool(true));
    Ok(ImportedType {
        name,
        description: first_text(&[operation, item], &["description", "summary"]),
        deprecated: Some(is_deprecated || own.deprecated == Some(true)),
        schemas: ImportedSchemas::read(document, &at, &own, newest, &mut reader.room)?,
        pointer: at,
        own,
    })
}

/// The schema of a request's body in JSON.
fn body(reader: &mut Reader<'_>, pointer: String, dialect: Dialect) -> Result<Standalone, Fault> {
    let document = reader.document;
    let (at, _) = followed(document, pointer)?;
    let content = joined(&at, "content");
    let is_json = |name: &str| {
        let essence = name.split(';').next().unwrap_or_default().trim();
        essence == "application/json" || essence.ends_with("+json") || essence == "*/*"
    };
    let media = entries(document, &content).find(|(name, _)| is_json(name));
    let (_, media) = media.ok_or_else(|| Fault::at(&content, "has nothing that is JSON"))?;
    let (media, _) = followed(document, media)?;
    let schema = joined(&media, "schema");
    if document.pointer(&schema).is_none() {
        return Ok(Standalone::anything(&media));
    }
    let (schema, _) = followed_schema(document, schema)?;
    standalone(document, &schema, dialect, &mut reader.room)
}
