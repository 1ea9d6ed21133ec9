//! Values as they are written, and the types that are read from them. Must never print a secret.

use std::net::SocketAddr;
use std::path::PathBuf;

use hookseal_domain::address_policy::PlainHttp;
use hookseal_domain::secret::Secret;
use hookseal_domain::signature::key::KeyKind;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::TlsVersion;
use hookseal_egress::{OperatorIdentity, OperatorKey, ProxyAddress, PublicRoots};
use ipnet::IpNet;

/// A proxy by its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedProxy {
    /// What policies call it.
    pub name: Name,
    /// Where it is and what it speaks.
    pub address: ProxyAddress,
}

/// What a PKCS#11 token is called (PKCS#11 v3.1 §3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenLabel(pub String);

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
    /// How many commas are in it: a list splits at the others.
    const COMMAS: usize = 0;

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

/// The items of a text that is a list with commas between its items, of which each has some too.
pub(crate) fn items(text: &str, commas_each: usize) -> Vec<String> {
    let parts: Vec<_> = text.split(',').collect();
    let items = parts.chunks(commas_each + 1).map(|parts| parts.join(","));
    items.map(|item| item.trim().to_owned()).collect()
}

/// One text is a list with commas between its items.
impl<T: Scalar> Setting for Vec<T> {
    type Item = T;
    const SHAPE: Shape = Shape::List;

    fn read(raw: Option<&Raw>, within: impl Fn(&T) -> bool) -> Option<Self> {
        let item = |text: &str| T::parse(text.trim()).filter(&within);
        match raw? {
            Raw::One(text) if text.trim().is_empty() => Some(Self::new()),
            Raw::One(text) => items(text, T::COMMAS)
                .iter()
                .map(|text| item(text))
                .collect(),
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

impl Scalar for Name {
    const FORM: &'static str = "a name: 1 to 128 letters, digits, dots, - or _";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl Scalar for OperatorIdentity {
    const FORM: &'static str = "NAME=CERTIFICATE,KEY: two files whose paths have no comma, or the \
        file of the certificate and pkcs11:LABEL";
    const COMMAS: usize = 1;

    fn parse(text: &str) -> Option<Self> {
        let (name, files) = text.split_once('=')?;
        let (certificate, key) = files.split_once(',')?;
        let (certificate, key) = (certificate.trim(), key.trim());
        if certificate.is_empty() || key.is_empty() || key.contains(',') {
            return None;
        }
        let key = match key.strip_prefix("pkcs11:") {
            Some("") => return None,
            Some(label) => OperatorKey::Token(label.to_owned()),
            None => OperatorKey::File(PathBuf::from(key)),
        };
        Some(Self {
            name: Name::parse(name.trim()).ok()?,
            certificate: PathBuf::from(certificate),
            key,
        })
    }
}

/// Kept out of messages: somebody may have written a password into it.
impl Scalar for NamedProxy {
    const FORM: &'static str = "NAME=http://HOST:PORT or NAME=socks5://HOST:PORT, without user and \
        password";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        let (name, address) = text.split_once('=')?;
        Some(Self {
            name: Name::parse(name.trim()).ok()?,
            address: ProxyAddress::parse(address.trim())?,
        })
    }
}

impl Scalar for TokenLabel {
    const FORM: &'static str = "the label of a token: 1 to 32 bytes";

    fn parse(text: &str) -> Option<Self> {
        (1..=32)
            .contains(&text.len())
            .then(|| Self(text.to_owned()))
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
choice!(TlsVersion: "1.2" => Tls12, "1.3" => Tls13);

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
    fn items_with_commas_of_their_own() {
        let check = |text: &str, expect: Option<usize>| {
            let raw = Raw::One(text.to_owned());
            let read: Option<Vec<OperatorIdentity>> = Setting::read(Some(&raw), |_| true);
            assert_eq!(read.map(|read| read.len()), expect, "{text}");
        };
        check("", Some(0));
        check("a=c.pem,k.pem", Some(1));
        check("a=c.pem, k.pem, b=c.pem,pkcs11:b", Some(2));
        check("a=c.pem", None);
        check("a=c.pem,k.pem,b=c.pem", None);
        check("a=c.pem,pkcs11:", None);
        check("a/b=c.pem,k.pem", None);
    }

    #[test]
    fn an_empty_text_is_no_value() {
        let empty = Raw::One(String::new());
        assert_eq!(Setting::read(Some(&empty), |_| true), Some(None::<PathBuf>));
        assert_eq!(<PathBuf as Setting>::read(Some(&empty), |_| true), None);
    }
}
