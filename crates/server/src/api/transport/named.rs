//! Things that an organisation gives names to: the names in paths, and pages of them.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::name::Name;
use hookseal_domain::violation::Violation;
use hookseal_store::page::{Page, PageRequest, PageStart};

use crate::api::Api;
use crate::api::access::path_param;
use crate::api::error::ApiError;
use crate::api::error::violations::Violations;
use crate::api::page::PageKey;
use crate::api::query::{FromQuery, QueryReader};
use crate::api::transport::layer::NOTHING;

/// The name in the path.
pub(crate) struct NamePath(pub(crate) Name);

/// The number of a certificate in the path.
pub(crate) struct NumberPath(pub(crate) u32);

/// A SHA-256 in the path, in hex digits; `None` for what is none.
pub(crate) struct HashPath(pub(crate) Option<[u8; 32]>);

impl FromRequestParts<Api> for NamePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let name = Name::parse(&path_param(parts, "name").await?);
        name.map(Self)
            .map_err(|violation| Violations::one(&["path", "name"], &violation).into())
    }
}

impl FromRequestParts<Api> for NumberPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        // What is no number names no certificate.
        let number = path_param(parts, "number").await?;
        Ok(Self(number.parse().unwrap_or(0)))
    }
}

impl FromRequestParts<Api> for HashPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        Ok(Self(unhex(&path_param(parts, "sha256").await?)))
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Whether something new may have this name: those of endpoints are kept for what belongs to one
/// endpoint, and `none` stands for nothing.
pub(crate) fn check_new_name(name: &Name) -> Result<(), Violations> {
    if !name.as_str().starts_with(EndpointId::PREFIX) && name.as_str() != NOTHING {
        return Ok(());
    }
    let violation = Violation::new(
        "value_error.name.reserved",
        "must not be none or begin with ep_: such names are made by the server",
    );
    Err(Violations::one(&["path", "name"], &violation))
}

/// The page of a list that is in memory.
pub(crate) fn page_of<T: Clone>(
    all: &BTreeMap<Name, T>,
    request: &PageRequest<Name>,
) -> Page<(Name, T)> {
    let wanted = |name: &&Name| match &request.from {
        PageStart::Beginning => true,
        PageStart::After(start) => (*name > start) == is_ascending(request) && *name != start,
        PageStart::Before(start) => (*name < start) == is_ascending(request) && *name != start,
    };
    let rows = all.iter().filter(|(name, _)| wanted(name));
    let rows = rows.map(|(name, thing)| (name.clone(), thing.clone()));
    let take = request.limit.saturating_add(1);
    let rows = if request.reads_ascending() {
        rows.take(take).collect()
    } else {
        rows.rev().take(take).collect()
    };
    request.page_of(rows)
}

fn is_ascending(request: &PageRequest<Name>) -> bool {
    request.order == hookseal_store::page::Order::Ascending
}

impl PageKey for Name {
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl FromQuery for PageRequest<Name> {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        query.ordered_page()
    }
}

#[cfg(test)]
mod tests {
    use hookseal_store::page::Order;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn pages_in_both_directions() {
        let all: BTreeMap<_, _> = ["a", "b", "c", "d"].map(|text| (name(text), ())).into();
        let check = |from: PageStart<Name>, order, expect: &[&str], done| {
            let request = PageRequest {
                limit: 2,
                from,
                order,
            };
            let page = page_of(&all, &request);
            let names: Vec<_> = page.rows.iter().map(|(name, ())| name.as_str()).collect();
            assert_eq!((names.as_slice(), page.done), (expect, done));
        };
        use Order::{Ascending, Descending};
        check(PageStart::Beginning, Ascending, &["a", "b"], false);
        check(PageStart::Beginning, Descending, &["d", "c"], false);
        check(PageStart::After(name("b")), Ascending, &["c", "d"], true);
        check(PageStart::After(name("c")), Descending, &["b", "a"], true);
        check(PageStart::Before(name("d")), Ascending, &["b", "c"], false);
        check(PageStart::Before(name("c")), Ascending, &["a", "b"], true);
        check(PageStart::Before(name("a")), Descending, &["c", "b"], false);
        check(PageStart::After(name("x")), Ascending, &[], true);
    }

    #[test]
    fn names_of_endpoints_are_kept() {
        assert!(check_new_name(&name("partner")).is_ok());
        assert!(check_new_name(&name("none")).is_err());
        assert!(check_new_name(&name("ep_x")).is_err());
    }

    #[test]
    fn hashes_have_64_digits() {
        assert_eq!(unhex(&hex(&[7; 32])), Some([7; 32]));
        assert_eq!(unhex(&"AB".repeat(32)), Some([0xab; 32]));
        for wrong in ["", "ab", &"g".repeat(64), &"+1".repeat(32), &"ü".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
