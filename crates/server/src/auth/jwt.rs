//! JSON Web Tokens (RFC 7519): reads them, checks the signature, and makes them for the command line.
//!
//! **Invariant:** the key is chosen by the kind of algorithm, so that a public key is never used as
//! a shared secret; knows no clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use hookseal_domain::access::Principal;
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;

use crate::auth::{AuthError, Grant, Source};

/// How far clocks of issuer and server may differ. What we issue ourselves ends by our clock.
const LEEWAY: Duration = Duration::from_secs(30);
/// Who has issued what we issue.
const ISSUER: &str = "hookseal";
/// Bytes of an uncompressed point of P-256 (SEC 1 §2.3.3).
const P256_POINT_BYTES: usize = 65;

/// What tokens are verified with. Without any key nobody gets in.
#[derive(Debug, Default)]
pub struct VerifyingKeys {
    /// For HS256, HS384 and HS512.
    pub shared_secret: Option<Secret<Vec<u8>>>,
    /// For RS256, ES256 or EdDSA, by its kind: a public key in PEM form.
    pub public_key_pem: Option<String>,
}

/// A configured key that can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidKey {
    /// Everybody could sign with it.
    #[error("the shared secret is empty")]
    EmptySecret,
    /// Of no kind that we verify with.
    #[error("is no RSA, P-256 or Ed25519 public key in PEM form")]
    NotAPublicKey,
}

/// A token could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct MintError;

/// Checks signatures.
pub(crate) struct Verifier {
    keys: Vec<(Algorithm, DecodingKey)>,
}

/// What a token with a good signature says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// Whom it speaks for.
    pub(crate) principal: Principal,
    /// From when on; `None` for always.
    pub(crate) begins_at: Option<Timestamp>,
    /// How long after its end it still holds: the clock of whoever made it may differ.
    pub(crate) end_leeway: Duration,
    /// What else it says.
    pub(crate) grant: Arc<Grant>,
}

/// The claims that we read.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    /// Anything, where others made it.
    #[serde(default)]
    iss: Option<serde_json::Value>,
    #[serde(default)]
    org: Option<String>,
    #[serde(default)]
    exp: Option<NumericDate>,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default)]
    iat: Option<NumericDate>,
    /// Ours, so that no claim of others is taken for it.
    #[serde(default, rename = "hookseal:scopes")]
    scopes: Option<Vec<String>>,
    #[serde(default, rename = "hookseal:flags")]
    flags: Vec<String>,
}

/// The claims that we write.
#[derive(Serialize)]
struct NewClaims<'a> {
    iss: &'static str,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    /// With its milliseconds: what was issued after a cutoff is told from what was issued before.
    iat: f64,
    nbf: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(rename = "hookseal:scopes", skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
    #[serde(
        rename = "hookseal:flags",
        skip_serializing_if = "<[String]>::is_empty"
    )]
    flags: &'a [String],
}

/// Seconds since the Unix epoch, maybe with a fraction (RFC 7519 §2).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum NumericDate {
    Whole(i64),
    Fraction(f64),
}

/// Makes a bearer token of the shared secret (HS256). Without `expires_at` it never expires.
pub fn mint(
    shared_secret: &Secret<Vec<u8>>,
    principal: Principal,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<Secret<String>, MintError> {
    let claims = NewClaims::of(principal, now, expires_at);
    sign(shared_secret, &claims)
}

/// Makes a bearer token for an application's portal (HS256).
pub(crate) fn mint_portal(
    shared_secret: &Secret<Vec<u8>>,
    grant: &PortalGrant,
    now: Timestamp,
) -> Result<Secret<String>, MintError> {
    let principal = Principal::Application(grant.org, grant.app);
    let lasts = Duration::from_secs(grant.lasts_secs.into());
    let claims = NewClaims {
        scopes: Some(grant.scopes.names().collect()),
        flags: &grant.feature_flags,
        iat: numeric(grant.issued_at),
        ..NewClaims::of(principal, now, Some(now.plus(lasts)))
    };
    sign(shared_secret, &claims)
}

fn sign(
    shared_secret: &Secret<Vec<u8>>,
    claims: &NewClaims<'_>,
) -> Result<Secret<String>, MintError> {
    let key = EncodingKey::from_secret(shared_secret.expose());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .map(Secret::new)
        .map_err(|_| MintError)
}

// === impl Verifier ===

impl Verifier {
    /// Reads the keys.
    pub(crate) fn new(configured: &VerifyingKeys) -> Result<Self, InvalidKey> {
        let mut keys = Vec::new();
        if let Some(secret) = &configured.shared_secret {
            if secret.expose().is_empty() {
                return Err(InvalidKey::EmptySecret);
            }
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                keys.push((algorithm, DecodingKey::from_secret(secret.expose())));
            }
        }
        if let Some(pem) = &configured.public_key_pem {
            keys.push(public_key(pem)?);
        }
        Ok(Self { keys })
    }

    /// Checks the signature and reads the claims, but for their times.
    pub(crate) fn verify(&self, token: &str) -> Result<Verdict, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
        // Extensions that the signer does not want to be ignored; we know none (RFC 7515 §4.1.11).
        if header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        let (algorithm, key) = self
            .keys
            .iter()
            .find(|(algorithm, _)| *algorithm == header.alg)
            .ok_or(AuthError::Malformed)?;
        let mut rules = Validation::new(*algorithm);
        rules.required_spec_claims.clear();
        // Times are checked at each use with a given clock; an audience is not part of the contract.
        rules.validate_exp = false;
        rules.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &rules)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => AuthError::BadSignature,
                _ => AuthError::Malformed,
            })?
            .claims;
        Ok(Verdict {
            principal: claims.principal().ok_or(AuthError::UnknownSubject)?,
            begins_at: claims.nbf.map(NumericDate::to_timestamp),
            end_leeway: claims.end_leeway(source(*algorithm)),
            grant: Arc::new(claims.grant(source(*algorithm))?),
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(algorithm, _)| algorithm))
            .finish()
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether its time is over.
    pub(crate) fn ended_at(&self, now: Timestamp) -> bool {
        let ends_at = self.grant.ends_at;
        ends_at.is_some_and(|end| end.plus(self.end_leeway) <= now)
    }

    /// Whether its time has not come.
    pub(crate) fn early_at(&self, now: Timestamp) -> bool {
        self.begins_at
            .is_some_and(|begin| begin.minus(LEEWAY) > now)
    }
}

// === impl Claims ===

impl Claims {
    /// A scope that is not known is not for us to guess at.
    fn grant(&self, source: Source) -> Result<Grant, AuthError> {
        let names = self.scopes.as_ref();
        let scopes = names.map(|names| Scopes::parse(names.iter().map(String::as_str)));
        Ok(Grant {
            scopes: scopes
                .unwrap_or(Ok(Scopes::FULL))
                .map_err(|_| AuthError::Malformed)?,
            feature_flags: self.flags.clone(),
            issued_at: self.iat.map(NumericDate::to_timestamp),
            ends_at: self.exp.map(NumericDate::to_timestamp),
            source,
        })
    }

    /// None for our own: they end by the clock that they were made by.
    fn end_leeway(&self, source: Source) -> Duration {
        let is_ours = self.iss.as_ref().is_some_and(|issuer| issuer == ISSUER);
        if is_ours && source == Source::SharedSecret {
            Duration::ZERO
        } else {
            LEEWAY
        }
    }

    fn principal(&self) -> Option<Principal> {
        match &self.org {
            None => OrgId::parse(&self.sub).map(Principal::Organisation),
            Some(org) => {
                let app = AppId::parse(&self.sub)?;
                Some(Principal::Application(OrgId::parse(org)?, app))
            }
        }
    }
}

// === impl NewClaims ===

impl NewClaims<'_> {
    fn of(principal: Principal, now: Timestamp, expires_at: Option<Timestamp>) -> Self {
        let (sub, org) = match principal {
            Principal::Organisation(org) => (org.to_string(), None),
            Principal::Application(org, app) => (app.to_string(), Some(org.to_string())),
        };
        Self {
            iss: ISSUER,
            sub,
            org,
            iat: numeric(now),
            nbf: now.as_secs(),
            // Not before it was asked for.
            exp: expires_at.map(|at| at.plus(Duration::from_millis(999)).as_secs()),
            scopes: None,
            flags: &[],
        }
    }
}

fn numeric(at: Timestamp) -> f64 {
    at.since(Timestamp::default()).as_secs_f64()
}

/// A shared secret is for HMAC only, everything else is a public key.
fn source(algorithm: Algorithm) -> Source {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Source::SharedSecret,
        _ => Source::PublicKey,
    }
}

// === impl NumericDate ===

impl NumericDate {
    /// What lies outside of all calendars is as good as the end of them; before 1970 is past.
    fn to_timestamp(self) -> Timestamp {
        let since = match self {
            Self::Whole(secs) => Duration::from_secs(u64::try_from(secs).unwrap_or(0)),
            // To the nearest millisecond, which is what was meant: half a nanosecond is lost in f64.
            Self::Fraction(secs) if secs > 0.0 => Duration::try_from_secs_f64(secs)
                .map_or(Duration::MAX, |since| {
                    since.saturating_add(Duration::from_micros(500))
                }),
            Self::Fraction(_) => Duration::ZERO,
        };
        Timestamp::default().plus(since)
    }
}

fn public_key(pem: &str) -> Result<(Algorithm, DecodingKey), InvalidKey> {
    // A private key in the configuration of a verifier is a mistake that has to be heard of.
    if !pem.contains("PUBLIC KEY-----") {
        return Err(InvalidKey::NotAPublicKey);
    }
    let bytes = pem.as_bytes();
    let (algorithm, key) = DecodingKey::from_rsa_pem(bytes)
        .map(|key| (Algorithm::RS256, key))
        .or_else(|_| DecodingKey::from_ec_pem(bytes).map(|key| (Algorithm::ES256, key)))
        .or_else(|_| DecodingKey::from_ed_pem(bytes).map(|key| (Algorithm::EdDSA, key)))
        .map_err(|_| InvalidKey::NotAPublicKey)?;
    if algorithm == Algorithm::ES256 && key.as_bytes().len() != P256_POINT_BYTES {
        return Err(InvalidKey::NotAPublicKey);
    }
    Ok((algorithm, key))
}
