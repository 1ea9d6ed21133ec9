//! What a token may do, apart from whose things it may touch.
//!
//! **Invariant:** a need that no scope covers is refused: what is new is for full tokens only.

use crate::violation::Violation;

/// Some of what the API can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All of it.
    Full,
    /// Looking, but at no secret.
    Read,
    /// Publishing messages.
    Publish,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// To ask about the token itself, or to end it.
    Itself,
    /// To look at something that is no secret.
    Read,
    /// To publish.
    Publish,
    /// Anything else.
    Full,
}

/// One scope or more: a token may do what any of them allows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Scopes(u8);

// === impl Scope ===

impl Scope {
    const ALL: [Self; 3] = [Self::Full, Self::Read, Self::Publish];

    const fn bit(self) -> u8 {
        match self {
            Self::Full => 1,
            Self::Read => 2,
            Self::Publish => 4,
        }
    }

    /// As the API calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Read => "read",
            Self::Publish => "publish",
        }
    }

    fn parse(name: &str) -> Result<Self, Violation> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == name);
        let message = "must be full, read or publish";
        found.ok_or_else(|| Violation::new("value_error.choice", message))
    }

    const fn allows(self, need: Need) -> bool {
        match (self, need) {
            (_, Need::Itself) | (Self::Full, _) => true,
            (Self::Read, Need::Read) | (Self::Publish, Need::Publish) => true,
            (Self::Read | Self::Publish, _) => false,
        }
    }
}

// === impl Scopes ===

impl Scopes {
    /// Everything: of tokens that say nothing.
    pub const FULL: Self = Self(Scope::Full.bit());
    /// Looking only.
    pub const READ: Self = Self(Scope::Read.bit());

    /// Reads names; an empty list is a token that could do nothing, which nobody means.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, Violation> {
        let mut bits = 0;
        for name in names {
            bits |= Scope::parse(name)?.bit();
        }
        let empty = || Violation::new("value_error.list.min_items", "must not be empty");
        Self::from_bits(bits).ok_or_else(empty)
    }

    /// The number that the store holds.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From that number; `None` for what stands for nothing.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1..=7 => Some(Self(bits)),
            _ => None,
        }
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.scopes().map(Scope::name)
    }

    /// Whether one of them allows it.
    pub fn allows(self, need: Need) -> bool {
        self.scopes().any(|scope| scope.allows(need))
    }

    fn scopes(self) -> impl Iterator<Item = Scope> {
        let given = move |scope: &Scope| self.0 & scope.bit() != 0;
        Scope::ALL.into_iter().filter(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_allows_its_own() {
        let check = |names: &[&str], expect: [bool; 3]| {
            let scopes = Scopes::parse(names.iter().copied()).unwrap();
            let needs = [Need::Read, Need::Publish, Need::Full];
            assert_eq!(needs.map(|need| scopes.allows(need)), expect, "{names:?}");
            assert!(scopes.allows(Need::Itself));
            assert_eq!(Scopes::from_bits(scopes.bits()), Some(scopes));
        };
        check(&["full"], [true; 3]);
        check(&["read"], [true, false, false]);
        check(&["publish"], [false, true, false]);
        check(&["publish", "read", "read"], [true, true, false]);
        check(&["publish", "full"], [true; 3]);
        assert_eq!(Scopes::READ.names().collect::<Vec<_>>(), ["read"]);
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let rule = |names: &[&str]| Scopes::parse(names.iter().copied()).unwrap_err().rule;
        assert_eq!(rule(&[]), "value_error.list.min_items");
        assert_eq!(rule(&["read", "admin"]), "value_error.choice");
        assert_eq!([0, 8, 255].map(Scopes::from_bits), [None; 3]);
    }
}
