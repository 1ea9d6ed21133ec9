//! Values as they are written, and the types that are read from them. Must never print a secret.

use std::net::SocketAddr;
use std::path::PathBuf;

use hookseal_domain::address_policy::PlainHttp;
use hookseal_domain::secret::Secret;
use hookseal_domain::signature::key::KeyKind;
use hookseal_egress::{PublicRoots, TlsMinVersion};
use ipnet::IpNet;

/// A value as it was written, before anyone knows what it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Raw {
    /// A string, number or boolean.
    One(String),
    /// A list of such.
    Many(Vec<String>),
    /// A table, or a list of tables or lists: no setting looks like that.
    Nested,
}

/// One value that has a text form.
pub(crate) trait Scalar: Sized {
    /// What is expected; stands after "must be".
    const FORM: &'static str;
    /// Whether TOML wants quotes around it.
    const QUOTED: bool = true;
    /// Whether it is kept out of messages.
    const SECRET: bool = false;

    /// Reads the text form.
    fn parse(text: &str) -> Option<Self>;

    /// Where it stands among its kind; only kinds that have an order can have a range.
    fn rank(&self) -> Option<u128> {
        None
    }
}

/// How many values a setting takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// A list.
    List,
}

/// The type of a field: a scalar, an `Option` of one, or a `Vec` of them.
pub(crate) trait Setting: Sized {
    /// What each of its values is.
    type Item: Scalar;
    /// How many values it takes.
    const SHAPE: Shape;

    /// Reads it; `None` when it does not fit. `within` tells whether an item lies in the range.
    fn read(raw: Option<&Raw>, within: impl Fn(&Self::Item) -> bool) -> Option<Self>;
}

// === impl Raw ===

impl Raw {
    /// As it is shown to people.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::One(text) => format!("{text:?}"),
            Self::Many(texts) => format!("{texts:?}"),
            Self::Nested => "a table".to_owned(),
        }
    }
}

// === impl Setting ===

impl<T: Scalar> Setting for T {
    type Item = T;
    const SHAPE: Shape = Shape::One;

    fn read(raw: Option<&Raw>, within: impl Fn(&Self) -> bool) -> Option<Self> {
        match raw? {
            Raw::One(text) => Self::parse(text).filter(within),
            Raw::Many(_) | Raw::Nested => None,
        }
    }
}

/// An empty text takes away what a source of lower rank said.
impl<T: Scalar> Setting for Option<T> {
    type Item = T;
    const SHAPE: Shape = Shape::Optional;

    fn read(raw: Option<&Raw>, within: impl Fn(&T) -> bool) -> Option<Self> {
        match raw {
            None => Some(None),
            Some(Raw::One(text)) if text.is_empty() => Some(None),
            Some(Raw::One(text)) => T::parse(text).filter(within).map(Some),
            Some(Raw::Many(_) | Raw::Nested) => None,
        }
    }
}

/// One text is a list with commas between its items.
impl<T: Scalar> Setting for Vec<T> {
    type Item = T;
    const SHAPE: Shape = Shape::List;

    fn read(raw: Option<&Raw>, within: impl Fn(&T) -> bool) -> Option<Self> {
        let item = |text: &str| T::parse(text.trim()).filter(&within);
        match raw? {
            Raw::One(text) if text.trim().is_empty() => Some(Self::new()),
            Raw::One(text) => text.split(',').map(item).collect(),
            Raw::Many(texts) => texts.iter().map(|text| item(text)).collect(),
            Raw::Nested => None,
        }
    }
}

// === impl Scalar ===

#[expect(clippy::use_self, reason = "QUOTED is a bool whatever Self is")]
impl Scalar for bool {
    const FORM: &'static str = "true or false";
    const QUOTED: bool = false;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Scalar for $number {
            const FORM: &'static str = "a whole number";
            const QUOTED: bool = false;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn rank(&self) -> Option<u128> {
                u128::try_from(*self).ok()
            }
        }
    )*};
}

numbers! { u32 usize }

impl Scalar for SocketAddr {
    const FORM: &'static str = "an IP address with a port, such as 127.0.0.1:8071 or [::1]:8071";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for PathBuf {
    const FORM: &'static str = "the path of a file";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }
}

impl Scalar for IpNet {
    const FORM: &'static str = "a network in CIDR form, such as 10.1.0.0/16 or fd00::/8";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Scalar for Secret<String> {
    const FORM: &'static str = "a text that is not empty";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::new(text.to_owned()))
    }
}

/// Makes an enum a setting: each variant with the word that stands for it.
macro_rules! choice {
    ($kind:ty: $first:literal => $first_variant:ident $(, $word:literal => $variant:ident)* $(,)?) => {
        impl $crate::config::value::Scalar for $kind {
            const FORM: &'static str = concat!("one of ", $first $(, ", ", $word)*);

            fn parse(text: &str) -> Option<Self> {
                match text {
                    $first => Some(Self::$first_variant),
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use choice;

choice!(KeyKind: "hmac" => HmacSha256, "ed25519" => Ed25519);
choice!(PlainHttp: "never" => Never, "allowed_networks" => AllowedNetworks, "always" => Always);
choice!(PublicRoots: "mozilla" => Mozilla, "none" => None);
choice!(TlsMinVersion: "1.2" => Tls12, "1.3" => Tls13);

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Option<Vec<u32>> {
        Setting::read(Some(&Raw::One(text.to_owned())), |_| true)
    }

    #[test]
    fn lists_are_written_with_commas_too() {
        assert_eq!(list("1, 2,3"), Some(vec![1, 2, 3]));
        assert_eq!(list(" "), Some(vec![]));
        assert_eq!(list("1,,3"), None);
        let many = Raw::Many(vec!["1".to_owned(), "2".to_owned()]);
        assert_eq!(Setting::read(Some(&many), |_| true), Some(vec![1_u32, 2]));
        assert_eq!(<u32 as Setting>::read(Some(&many), |_| true), None);
    }

    #[test]
    fn an_empty_text_is_no_value() {
        let empty = Raw::One(String::new());
        assert_eq!(Setting::read(Some(&empty), |_| true), Some(None::<PathBuf>));
        assert_eq!(<PathBuf as Setting>::read(Some(&empty), |_| true), None);
    }
}
