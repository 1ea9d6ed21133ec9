//! `/docs`: the OpenAPI document as a page to read. Loads nothing, runs nothing.

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use crate::api::error::ApiError;
use crate::auth::sha256;

/// The page's style; the content security policy lets in exactly this.
const STYLE: &str = include_str!("../../templates/api_docs.css");

/// The page, ready to be sent.
pub(crate) struct Page {
    html: Bytes,
    policy: HeaderValue,
}

#[derive(Template)]
#[template(path = "api_docs.html")]
struct DocsPage {
    version: String,
    style: &'static str,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Prose,
    parameters: Vec<Field>,
    body: Option<Kind>,
    answers: Vec<Answer>,
}

struct Answer {
    status: String,
    about: Prose,
    kind: Option<Kind>,
}

struct Shape {
    name: String,
    about: Prose,
    kind: Kind,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    place: String,
    required: bool,
    kind: Kind,
    about: Prose,
}

/// Text whose every second part, from the second on, is code.
struct Prose(Vec<String>);

/// A type in words, with the shape that it names.
#[derive(Default)]
struct Kind {
    before: String,
    shape: Option<String>,
    after: String,
}

/// `/` leads to the page.
pub(crate) async fn redirect() -> Redirect {
    Redirect::temporary("/docs")
}

// === impl Page ===

impl Page {
    /// Draws the document once.
    pub(crate) fn of(document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let page = DocsPage {
            version: text(&document, "/info/version"),
            style: STYLE,
            groups: groups(&document),
            shapes: shapes(&document),
        };
        let style_hash = STANDARD.encode(sha256(STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        );
        Self {
            html: Bytes::from(page.render().unwrap_or_default()),
            policy: HeaderValue::from_str(&policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
        }
    }

    /// The answer.
    pub(crate) fn response(&self) -> Response {
        if self.html.is_empty() {
            return ApiError::internal(&std::fmt::Error).into_response();
        }
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
        ];
        (headers, self.html.clone()).into_response()
    }
}

fn groups(document: &Value) -> Vec<Group> {
    let tags = document.get("tags").and_then(Value::as_array);
    let tags = tags.map(Vec::as_slice).unwrap_or_default();
    tags.iter()
        .map(|tag| {
            let name = text(tag, "/name");
            Group {
                operations: operations(document, &name),
                about: text(tag, "/description"),
                name,
            }
        })
        .collect()
}

fn operations(document: &Value, tag: &str) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in entries(document, "/paths") {
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            let Some(operation) = methods.get(method) else {
                continue;
            };
            if text(operation, "/tags/0") == tag {
                found.push(Operation::of(path, method, operation));
            }
        }
    }
    found
}

fn shapes(document: &Value) -> Vec<Shape> {
    entries(document, "/components/schemas")
        .map(|(name, schema)| Shape {
            name: name.clone(),
            about: Prose::of(schema),
            kind: Kind::of(schema),
            fields: fields(schema),
        })
        .collect()
}

/// The fields of an object, and of those that it is put together from.
fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<_> = array(schema, "required")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let own = entries(schema, "/properties").map(|(name, field)| Field {
        name: name.clone(),
        place: String::new(),
        required: required.contains(&name.as_str()),
        kind: Kind::of(field),
        about: Prose::of(field),
    });
    let parts = array(schema, "allOf").iter().flat_map(fields);
    own.chain(parts).collect()
}

// === impl Operation ===

impl Operation {
    fn of(path: &str, method: &str, operation: &Value) -> Self {
        let body = operation.pointer("/requestBody/content/application~1json/schema");
        Self {
            id: text(operation, "/operationId"),
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            summary: text(operation, "/summary").trim_end_matches('.').to_owned(),
            about: Prose::of(operation),
            parameters: array(operation, "parameters")
                .iter()
                .map(Field::of_parameter)
                .collect(),
            body: body.map(Kind::of),
            answers: entries(operation, "/responses")
                .map(|(status, answer)| Answer {
                    status: status.clone(),
                    about: Prose::of(answer),
                    kind: answer
                        .pointer("/content/application~1json/schema")
                        .map(Kind::of),
                })
                .collect(),
        }
    }
}

// === impl Field ===

impl Field {
    fn of_parameter(parameter: &Value) -> Self {
        Self {
            name: text(parameter, "/name"),
            place: text(parameter, "/in"),
            required: parameter.get("required").and_then(Value::as_bool) == Some(true),
            kind: parameter.get("schema").map(Kind::of).unwrap_or_default(),
            about: Prose::of(parameter),
        }
    }
}

// === impl Prose ===

impl Prose {
    /// The description of a thing, which may stand at the one shape that it refers to.
    fn of(thing: &Value) -> Self {
        let referred = array(thing, "oneOf").iter().rev();
        let text = std::iter::once(thing)
            .chain(referred)
            .find_map(|place| place.get("description").and_then(Value::as_str));
        let parts = text.unwrap_or_default().split('`');
        Self(parts.map(str::to_owned).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(String::is_empty)
    }
}

// === impl Kind ===

impl Kind {
    fn of(schema: &Value) -> Self {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return Self {
                shape: Some(name.to_owned()),
                ..Self::default()
            };
        }
        if let Some(items) = schema.get("items") {
            let items = Self::of(items);
            return Self {
                before: format!("list of {}", items.before),
                shape: items.shape,
                after: format!("{}{}", items.after, rules(schema)),
            };
        }
        if let Some(option) = array(schema, "oneOf")
            .iter()
            .find(|option| text(option, "/type") != "null")
        {
            let option = Self::of(option);
            return Self {
                after: format!("{} or null", option.after),
                ..option
            };
        }
        let names: Vec<_> = match schema.get("type") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(name)) => vec![name.as_str()],
            _ => Vec::new(),
        };
        Self {
            before: format!("{}{}", names.join(" or "), rules(schema)),
            ..Self::default()
        }
    }
}

/// The bounds of a value in words.
fn rules(schema: &Value) -> String {
    let names = [
        ("format", "format"),
        ("enum", "one of"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("minItems", "at least"),
        ("maxItems", "at most"),
        ("pattern", "pattern"),
        ("default", "default"),
    ];
    let mut rules = String::new();
    for (key, words) in names {
        match schema.get(key) {
            Some(Value::String(value)) => rules.push_str(&format!(", {words} {value}")),
            Some(value) => rules.push_str(&format!(", {words} {value}")),
            None => {}
        }
    }
    rules
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let found = value.get(key).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

fn entries<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    let map = value.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flat_map(Map::iter)
}
