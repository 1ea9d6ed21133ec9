//! Writes `docs/reference/errors.md` from the codes and rules in the code.

use std::fmt::Write;

use crate::api::error::ErrorCode;

/// Every `type` that an entry of a 422 can have, with what the rule demands.
const RULES: &[(&str, &str)] = &[
    ("value_error.jsondecode", "The body must be JSON."),
    (
        "type_error",
        "The value must be of the JSON type that the reference gives, and be given once.",
    ),
    ("value_error.missing", "The field must be given."),
    ("value_error.length", "The text must be within its bounds."),
    (
        "value_error.pattern",
        "The text may only contain the characters that the reference gives.",
    ),
    (
        "invalid_uid_prefix",
        "A uid must not start like an id of ours (`app_`, `ep_`, `msg_`).",
    ),
    (
        "value_error.delivery_format",
        "The form must be `standard`, `cloudevents-structured` or `cloudevents-binary`.",
    ),
    (
        "value_error.delivery_format.batch",
        "An endpoint gets batches or CloudEvents, not both.",
    ),
    (
        "value_error.filter",
        "The filter must be an expression of CEL that can be bounded; the message says what is not, and \
         where.",
    ),
    ("value_error.number", "The number must be in its range."),
    (
        "value_error.list.min_items",
        "The list must not be empty; leave it out or give `null` for \"all\".",
    ),
    (
        "value_error.list.max_items",
        "The list is longer than allowed.",
    ),
    (
        "value_error.list.unique_items",
        "The list must not name anything twice.",
    ),
    (
        "value_error.map.max_items",
        "The map has more entries than allowed.",
    ),
    (
        "value_error.nesting",
        "A payload has at most 100 levels: common parsers refuse deeper ones.",
    ),
    (
        "value_error.retry_schedule",
        "A retry schedule has at most 50 steps of at most 7 days, in whole milliseconds, and ends before the server forgets messages.",
    ),
    (
        "value_error.document",
        "The document must be readable and of the kind that the path names, with something in it to import.",
    ),
    (
        "value_error.schema",
        "A schema must be one in JSON Schema 2020-12 or draft 7, within the bounds of the guide; `loc` goes on inside of it.",
    ),
    (
        "value_error.payload.schema",
        "The event type enforces its schema: `loc` names the place in the payload, the message its JSON pointer and the keyword.",
    ),
    (
        "value_error.choice",
        "The value must be one of those that the reference lists.",
    ),
    (
        "value_error.datetime",
        "The value must be an RFC 3339 date and time.",
    ),
    (
        "value_error.deliver_at.history",
        "The message would be forgotten (`retention.history`) before its schedule could run out.",
    ),
    (
        "value_error.deliver_at.retention",
        "The payload would not be kept until then.",
    ),
    (
        "value_error.deliver_at.too_far",
        "A message can be scheduled at most 30 days ahead.",
    ),
    (
        "value_error.iterator",
        "The iterator must be one that a list gave.",
    ),
    (
        "value_error.priority",
        "The class must be `high`, `normal` or `bulk`.",
    ),
    (
        "value_error.url",
        "The URL must be absolute and at most 65,536 bytes long.",
    ),
    (
        "value_error.url.scheme",
        "The URL must use `https` (or `http`, where the operator allows it).",
    ),
    ("value_error.url.host", "The URL must have a host."),
    ("value_error.url.port", "The URL's port must not be 0."),
    (
        "value_error.url.userinfo",
        "The URL must not hold a user name or password; send credentials in a header.",
    ),
    (
        "value_error.url.fragment",
        "The URL must not have a fragment.",
    ),
    (
        "value_error.url.plain_http",
        "The operator does not allow plain HTTP (`egress.plain_http`).",
    ),
    (
        "value_error.url.address",
        "The address policy refuses the address in the URL (`egress.allow_networks`).",
    ),
    (
        "value_error.secret",
        "The signing key must be `whsec_` and the base64 of 24 to 75 bytes, or `whsk_` and the base64 of an ed25519 key; a rotation needs another one than the current.",
    ),
    (
        "value_error.park_on",
        "`parkOn` lists status codes from 400 to 499, without 408, 410, 425 and 429.",
    ),
    (
        "value_error.fifo",
        "`onExhausted` and `orderingKey` go with `fifo: true` only.",
    ),
    (
        "value_error.on_exhausted",
        "`onExhausted` must be `block` or `moveOn`.",
    ),
    (
        "value_error.ordering_key",
        "`orderingKey` must have either a `header` or a `pointer`.",
    ),
    (
        "value_error.ordering_key.header",
        "The header's name must be valid (RFC 9110 §5.1), of at most 256 characters.",
    ),
    (
        "value_error.ordering_key.credential",
        "A header of credentials (`authorization`, `proxy-authorization`, `cookie`) can't be an ordering key.",
    ),
    (
        "value_error.ordering_key.pointer",
        "The pointer must be a JSON pointer (RFC 6901) to a part of the payload, of at most 256 bytes.",
    ),
    (
        "header.name",
        "The header's name must be valid (RFC 9110 §5.1).",
    ),
    (
        "header.reserved",
        "The header is set by Hookseal and can't be changed.",
    ),
    (
        "header.value",
        "The header's value must be at most 4,096 visible ASCII characters, without spaces at its ends.",
    ),
    (
        "header.duplicate",
        "A header must not be given twice; case does not matter.",
    ),
    ("header.count", "An endpoint has at most 50 custom headers."),
    (
        "value_error.unknown",
        "The field does not exist. What concerns transport security refuses such fields, since one that is spelled wrong would protect nothing.",
    ),
    (
        "value_error.name.reserved",
        "The name must not be `none` or begin with `ep_`.",
    ),
    (
        "value_error.reference",
        "The name must be that of something that exists.",
    ),
    (
        "value_error.server_name",
        "`serverName` must be a DNS name or an IP address.",
    ),
    (
        "value_error.crl_url",
        "`crlUrls` lists absolute `http://` URLs of at most 1,024 bytes, without user name, password and fragment.",
    ),
    (
        "value_error.trust_anchors",
        "Trust anchors are 1 to 32 certificates of CAs in PEM, valid now, none of them public, none twice.",
    ),
    (
        "value_error.client_identity",
        "A client certificate must be valid now, meant for clients, come with those between it and the root, and match its key.",
    ),
    (
        "value_error.certificate_request",
        "A certificate request needs a common name of 1 to 64 characters and at most 16 DNS names, addresses and URIs.",
    ),
    (
        "value_error.pin",
        "A pin is `sha256/` and the base64 of a key's SHA-256, or one certificate, certificate request or public key in PEM.",
    ),
    (
        "value_error.transport",
        "What the endpoint's transport policy demands can't be had like this; the message says what is missing.",
    ),
    (
        "value_error.not_supported",
        "This server can't do what the field asks for, and doing something else would be wrong.",
    ),
];

/// The page, as Markdown.
pub(crate) fn errors_markdown() -> String {
    let mut page = String::from(HEAD);
    for code in ErrorCode::ALL {
        let (text, status) = (code.as_str(), code.status().as_u16());
        // Writing to a String can't fail.
        _ = writeln!(page, "| `{text}` | {status} |{} |", code.doc());
    }
    page.push_str(VALIDATION);
    for (rule, text) in RULES {
        _ = writeln!(page, "| `{rule}` | {text} |");
    }
    page
}

const HEAD: &str = "\
# Errors of the HTTP API

Generated by `cargo xtask gen`; do not edit.

An error's body is `{\"code\": …, \"detail\": …}`. The code is stable, the detail is for people and may
change. After a 5xx or no answer at all, repeat a POST with the same `idempotency-key`: what was done
is not done again.

| `code` | Status | When, and what to do |
| --- | --- | --- |
";

const VALIDATION: &str = "
## Values that break a rule

Status 422 has a body of its own: `{\"detail\": [{\"loc\": [\"body\", \"url\"], \"msg\": …, \"type\": …}]}`
with one entry for each broken rule. `loc` begins with `body`, `query`, `path` or `header` and names the
field; `type` is stable.

| `type` | Rule |
| --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_stands_once() {
        for (rule, _) in RULES {
            assert_eq!(RULES.iter().filter(|(other, _)| other == rule).count(), 1);
        }
        assert!(errors_markdown().contains("| `rate_limited` | 429 | Too many requests"));
    }
}
