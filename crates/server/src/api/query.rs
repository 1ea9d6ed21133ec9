//! Query strings: each parameter by its own rule, all violations together.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use hookseal_domain::channel::Channel;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use hookseal_domain::time::Timestamp;
use hookseal_domain::violation::Violation;
use hookseal_store::inspect::{Content, MessageFilter};
use hookseal_store::page::{Order, PageRequest, PageStart};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::error::violations::Violations;
use crate::api::page::PageKey;

/// Longest query string that is read, in bytes: servers commonly stop at 8 KiB of request line.
const QUERY_BYTES_MAX: usize = 16 * 1024;

/// The query of a request, read by [`FromQuery`].
pub(crate) struct Query<T>(pub(crate) T);

/// What is read from a query.
pub(crate) trait FromQuery: Sized {
    /// Reads the parameters; what is broken is noted in the reader.
    fn from_query(query: &mut QueryReader<'_>) -> Self;
}

/// The parameters of a query. Unknown ones are ignored.
pub(crate) struct QueryReader<'q> {
    text: &'q str,
    violations: Violations,
}

// === impl Query ===

impl<T: FromQuery> FromRequestParts<Api> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let text = parts.uri.query().unwrap_or_default();
        if text.len() > QUERY_BYTES_MAX {
            let message = format!("must be at most {QUERY_BYTES_MAX} bytes");
            let violation = Violation::new("value_error.length", message);
            return Err(Violations::one(&["query"], &violation).into());
        }
        let mut reader = QueryReader {
            text,
            violations: Violations::default(),
        };
        let read = T::from_query(&mut reader);
        Ok(Self(reader.violations.finish(Some(read))?))
    }
}

// === impl QueryReader ===

impl QueryReader<'_> {
    /// A parameter, where it is given; the last one counts.
    pub(crate) fn one<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Violation>,
    ) -> Option<T> {
        let given = form_urlencoded::parse(self.text.as_bytes())
            .filter(|(key, _)| key == name)
            .last()?
            .1;
        self.violations.take(&["query", name], parse(&given))
    }

    /// A list, given as `name=a,b` or `name=a&name=b`; an empty one is as good as none.
    pub(crate) fn many<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Violation>,
    ) -> Option<Vec<T>> {
        let mut list = Vec::new();
        let pairs = form_urlencoded::parse(self.text.as_bytes());
        for (_, value) in pairs.filter(|(key, _)| key == name) {
            for item in value.split(',').filter(|item| !item.is_empty()) {
                list.extend(self.violations.take(&["query", name], parse(item)));
            }
        }
        (!list.is_empty()).then_some(list)
    }

    /// `true` or `false`, where it is given.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        self.one(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Violation::new("type_error", "must be true or false")),
        })
    }

    /// A date and time, where it is given.
    pub(crate) fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.one(name, |text| {
            Timestamp::parse_rfc3339(text)
                .map_err(|error| Violation::new("value_error.datetime", error.to_string()))
        })
    }

    /// `since` and `until`, in their order where both are given.
    pub(crate) fn span(&mut self) -> (Option<Timestamp>, Option<Timestamp>) {
        let span = (self.time("since"), self.time("until"));
        if let (Some(since), Some(until)) = span
            && until < since
        {
            for (name, message) in [
                ("until", "must not be before since"),
                ("since", "must not be after until"),
            ] {
                let violation = Violation::new("value_error.datetime", message);
                self.violations.add(&["query", name], &violation);
            }
        }
        span
    }

    /// Whether payloads or responses are wanted.
    pub(crate) fn content(&mut self, default: Content) -> Content {
        match self.flag("with_content") {
            Some(true) => Content::With,
            Some(false) => Content::Without,
            None => default,
        }
    }

    /// The parameters that choose messages.
    pub(crate) fn message_filter(&mut self) -> MessageFilter {
        MessageFilter {
            channel: self.one("channel", Channel::parse),
            tag: self.one("tag", |tag| Ok(tag.to_owned())),
            event_types: self.many("event_types", EventTypeName::parse),
            before: self.time("before"),
            after: self.time("after"),
            content: self.content(Content::With),
        }
    }

    /// The page of a list whose order the client may choose.
    pub(crate) fn ordered_page<K: PageKey>(&mut self) -> PageRequest<K> {
        let order = self.one("order", |text| match text {
            "ascending" => Ok(Order::Ascending),
            "descending" => Ok(Order::Descending),
            _ => Err(Violation::new(
                "value_error.choice",
                "must be ascending or descending",
            )),
        });
        self.page(order.unwrap_or(Order::Ascending))
    }

    /// The page of a list with a fixed order.
    pub(crate) fn page<K: PageKey>(&mut self, order: Order) -> PageRequest<K> {
        let limit = self.one("limit", |text| match text.parse() {
            Ok(limit) if (1..=PAGE_ROWS_MAX).contains(&limit) => Ok(limit),
            _ => Err(Violation::new(
                "value_error.number",
                format!("must be from 1 to {PAGE_ROWS_MAX}"),
            )),
        });
        let from = self.one("iterator", |text| {
            let start = match text.strip_prefix('-') {
                Some(id) => K::parse(id).map(PageStart::Before),
                None => K::parse(text).map(PageStart::After),
            };
            start.ok_or_else(|| {
                Violation::new(
                    "value_error.iterator",
                    "must be an iterator that this list gave",
                )
            })
        });
        PageRequest {
            limit: limit.unwrap_or(PAGE_ROWS_DEFAULT),
            from: from.unwrap_or(PageStart::Beginning),
            order,
        }
    }
}

impl FromQuery for Content {
    fn from_query(query: &mut QueryReader<'_>) -> Self {
        query.content(Self::With)
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::id::AppId;

    use super::*;

    fn check<T>(text: &str, read: impl FnOnce(&mut QueryReader<'_>) -> T) -> (T, Vec<String>) {
        let mut reader = QueryReader {
            text,
            violations: Violations::default(),
        };
        let read = read(&mut reader);
        let rules = reader.violations.into_vec();
        (read, rules.into_iter().map(|found| found.rule).collect())
    }

    #[test]
    fn lists_come_in_both_forms() {
        let parse = |text: &str| Ok(text.to_owned());
        let expect = Some(vec!["a".to_owned(), "b c".to_owned()]);
        assert_eq!(check("t=a,b%20c", |q| q.many("t", parse)).0, expect);
        assert_eq!(check("t=a&x=1&t=b+c", |q| q.many("t", parse)).0, expect);
        assert_eq!(check("t=", |q| q.many("t", parse)).0, None);
    }

    #[test]
    fn pages_are_bounded() {
        let page = |text: &str| check(text, |query| query.ordered_page::<AppId>());
        assert_eq!(page("").0.limit, PAGE_ROWS_DEFAULT);
        assert_eq!(page("limit=250").1.len(), 0);
        for limit in ["0", "251", "-1", "x", "", "1.5"] {
            let (_, rules) = page(&format!("limit={limit}"));
            assert_eq!(rules, ["value_error.number"], "{limit}");
        }
        assert_eq!(
            page("iterator=nothing&order=up").1,
            ["value_error.choice", "value_error.iterator"]
        );
    }

    #[test]
    fn the_last_one_counts() {
        let (content, rules) = check("with_content=x&with_content=false", Content::from_query);
        assert_eq!((content, rules.len()), (Content::Without, 0));
    }
}
