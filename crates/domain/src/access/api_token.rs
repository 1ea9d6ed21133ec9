//! Tokens of an organisation that the API makes: random text, of which only the hash is kept.
//!
//! **Invariant:** the text exists once, in the answer to the request that made it.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::scopes::Scopes;
use crate::id::{ApiTokenId, OrgId};
use crate::secret::Secret;
use crate::time::Timestamp;

/// What every text begins with: no JSON Web Token does, and who searches for leaked secrets finds it.
const PREFIX: &str = "hsk_";
/// Random bytes: 256 bits can't be guessed, so that a hash without salt or work keeps them.
pub const RANDOM_BYTES: usize = 32;
/// Characters of the text that are shown later on, to tell tokens apart; the rest are 232 bits.
const ENDING_CHARS: usize = 4;

/// The text of a token.
pub struct ApiTokenText(Secret<String>);

/// SHA-256 of a token's text.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TokenHash(pub [u8; 32]);

/// A token as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Whose it is.
    pub org: OrgId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The last characters of its text.
    pub ending: String,
    /// When it ends, or ended; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the hour; `None` for never.
    pub used_at: Option<Timestamp>,
}

// === impl ApiTokenText ===

impl ApiTokenText {
    /// Of these random bytes.
    pub fn of(random: &Secret<[u8; RANDOM_BYTES]>) -> Self {
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(random.expose(), &mut text);
        Self(Secret::new(text))
    }

    /// Whether a bearer token is meant to be one.
    pub fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// The text, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// By what it is found again.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }

    /// Its last characters.
    pub fn ending(&self) -> String {
        let text = self.expose();
        let from = text.len().saturating_sub(ENDING_CHARS);
        text.get(from..).unwrap_or_default().to_owned()
    }
}

// === impl TokenHash ===

impl TokenHash {
    /// Of any token's text.
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        let bytes = digest(&SHA256, text.as_bytes());
        for (to, from) in hash.iter_mut().zip(bytes.as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

// === impl ApiToken ===

impl ApiToken {
    /// Its text with everything hidden that could help to guess it.
    pub fn censored(&self) -> String {
        let mut text = PREFIX.to_owned();
        // Writing to a String can't fail.
        _ = write!(text, "****{}", self.ending);
        text
    }

    /// Whether its time is over.
    pub fn ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_long_and_shown_in_part_only() {
        let text = ApiTokenText::of(&Secret::new([7; RANDOM_BYTES]));
        assert_eq!(text.expose().len(), PREFIX.len() + 43);
        assert!(ApiTokenText::is_one(text.expose()));
        assert!(!ApiTokenText::is_one("eyJ0.e30.x"));
        assert_eq!(text.hash(), TokenHash::of(text.expose()));
        let token = ApiToken {
            id: ApiTokenId::from_raw(1),
            org: OrgId::from_stored([1; 20]),
            name: String::new(),
            scopes: Scopes::FULL,
            ending: text.ending(),
            expires_at: Some(Timestamp::from_millis(5)),
            used_at: None,
        };
        assert_eq!(
            token.censored(),
            "hsk_****BwcH".replace("BwcH", &text.ending())
        );
        assert_eq!(token.ending.len(), 4);
        assert!(token.ended(Timestamp::from_millis(5)));
        assert!(!token.ended(Timestamp::from_millis(4)));
    }
}
