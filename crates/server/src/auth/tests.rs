//! Tokens good and bad.

use std::sync::LazyLock;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use hookseal_domain::id::{AppId, IdGenerator, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{SqliteOptions, SqliteStore};

use super::*;

const ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
const NOW: Timestamp = Timestamp::from_millis(1_795_422_000_000);
const NOW_SECS: i64 = 1_795_422_000;

fn auth() -> Auth {
    Auth::new(&VerifyingKeys {
        shared_secret: Some(Secret::new(SECRET.to_vec())),
        public_key_pem: None,
    })
    .unwrap()
}

/// A store in which nothing is known of any token.
static EMPTY: LazyLock<(Runtime, Arc<dyn Store>, TempDir)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("hookseal.db"));
    let key = MasterKey::new(&Secret::new([7; 32])).unwrap();
    let store = SqliteStore::open(options, key).unwrap();
    (Runtime::new().unwrap(), Arc::new(store), folder)
});

fn verify(auth: &Auth, token: &str, now: Timestamp) -> Result<Principal, AuthError> {
    let (runtime, store, _) = &*EMPTY;
    match runtime.block_on(auth.authenticate(store, token, now)) {
        Ok(known) => Ok(known.principal),
        Err(AuthFailure::Refused(error)) => Err(error),
        Err(AuthFailure::Store(error)) => panic!("{error}"),
    }
}

fn token(algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hmac_token(claims: &Value) -> String {
    token(Algorithm::HS256, claims, &EncodingKey::from_secret(SECRET))
}

fn check(claims: &Value, expect: Result<Principal, AuthError>) {
    let auth = auth();
    let token = hmac_token(claims);
    for _ in 0..2 {
        let got = verify(&auth, &token, NOW);
        assert_eq!(got, expect, "{claims}");
    }
}

#[test]
fn subjects() {
    let org = OrgId::parse(ORG).unwrap();
    let app = AppId::from(IdGenerator::new(0, 0, None).next_id(NOW));
    check(&json!({"sub": ORG}), Ok(Principal::Organisation(org)));
    let own = json!({"org": ORG, "sub": app.to_string()});
    check(&own, Ok(Principal::Application(org, app)));
    for wrong in [
        json!({"sub": app.to_string()}),
        json!({"sub": ORG, "org": ORG}),
        json!({"sub": "org_short"}),
        json!({"sub": ""}),
    ] {
        check(&wrong, Err(AuthError::UnknownSubject));
    }
    check(&json!({"org": ORG}), Err(AuthError::Malformed));
    check(&json!({"sub": 1}), Err(AuthError::Malformed));
}

#[test]
fn times_have_a_little_leeway() {
    let good = Ok(Principal::Organisation(OrgId::parse(ORG).unwrap()));
    check(&json!({"sub": ORG, "exp": NOW_SECS + 1}), good);
    check(&json!({"sub": ORG, "exp": NOW_SECS - 29}), good);
    let theirs = json!({"sub": ORG, "iss": "svix-server", "exp": NOW_SECS - 29});
    check(&theirs, good);
    check(&json!({"sub": ORG, "iss": 1, "exp": NOW_SECS + 1}), good);
    check(&json!({"sub": ORG, "exp": 1_795_422_000.5}), good);
    let expired = Err(AuthError::Expired);
    check(&json!({"sub": ORG, "exp": NOW_SECS - 31}), expired);
    check(&json!({"sub": ORG, "exp": 0}), expired);
    check(&json!({"sub": ORG, "exp": -1.5}), expired);
    check(&json!({"sub": ORG, "nbf": NOW_SECS + 29}), good);
    let ours = |claim: &str, secs: i64| json!({"sub": ORG, "iss": "hookseal", claim: secs});
    check(&ours("exp", NOW_SECS + 1), good);
    check(&ours("exp", NOW_SECS), expired);
    check(&ours("nbf", NOW_SECS + 29), good);
    let early = Err(AuthError::NotYetValid);
    check(&json!({"sub": ORG, "nbf": NOW_SECS + 31}), early);
    check(
        &json!({"sub": ORG, "exp": "soon"}),
        Err(AuthError::Malformed),
    );
}

#[test]
fn a_remembered_token_still_expires() {
    let auth = auth();
    let token = hmac_token(&json!({"sub": ORG, "exp": NOW_SECS + 60}));
    assert!(verify(&auth, &token, NOW).is_ok());
    let later = NOW.plus(Duration::from_secs(91));
    assert_eq!(verify(&auth, &token, later), Err(AuthError::Expired));
}

#[test]
fn minted_tokens_hold() {
    let org = OrgId::parse(ORG).unwrap();
    let app = AppId::from(IdGenerator::new(0, 0, None).next_id(NOW));
    let secret = Secret::new(SECRET.to_vec());
    for who in [
        Principal::Organisation(org),
        Principal::Application(org, app),
    ] {
        let token = jwt::mint(&secret, who, NOW, None).unwrap();
        assert_eq!(verify(&auth(), token.expose(), NOW), Ok(who));
        let ends = NOW.plus(Duration::from_secs(60));
        let token = jwt::mint(&secret, who, NOW, Some(ends)).unwrap();
        let last = ends.minus(Duration::from_millis(1));
        assert_eq!(verify(&auth(), token.expose(), last), Ok(who));
        assert_eq!(
            verify(&auth(), token.expose(), ends),
            Err(AuthError::Expired),
            "our own clock needs no leeway"
        );
        // Whole seconds, not before it was asked for.
        let token = jwt::mint(&secret, who, NOW, Some(last)).unwrap();
        assert_eq!(verify(&auth(), token.expose(), last), Ok(who));
    }
}

#[test]
fn other_keys_and_algorithms_are_refused() {
    let claims = json!({"sub": ORG});
    let other = EncodingKey::from_secret(b"another secret");
    let forged = token(Algorithm::HS256, &claims, &other);
    assert_eq!(verify(&auth(), &forged, NOW), Err(AuthError::BadSignature));
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let good = token(algorithm, &claims, &EncodingKey::from_secret(SECRET));
        assert!(verify(&auth(), &good, NOW).is_ok());
    }
    let unsigned = format!(
        "{}.{}.",
        encoded(r#"{"alg":"none"}"#),
        encoded(&claims.to_string())
    );
    for text in ["", "a.b", "a.b.c", &unsigned, &"a".repeat(9000)] {
        assert_eq!(
            verify(&auth(), text, NOW),
            Err(AuthError::Malformed),
            "{text}"
        );
    }
    let nobody = Auth::new(&VerifyingKeys::default()).unwrap();
    assert_eq!(
        verify(&nobody, &hmac_token(&claims), NOW),
        Err(AuthError::Malformed)
    );
}

#[test]
fn extensions_that_are_critical_are_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(SECRET);
    let token = jsonwebtoken::encode(&header, &json!({"sub": ORG}), &key).unwrap();
    assert_eq!(verify(&auth(), &token, NOW), Err(AuthError::Malformed));
}

#[test]
fn public_keys_verify_their_own_algorithm_only() {
    for (rcgen_algorithm, algorithm) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
        (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
        (&rcgen::PKCS_RSA_SHA256, Algorithm::RS256),
    ] {
        let pair = rcgen::KeyPair::generate_for(rcgen_algorithm).unwrap();
        let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
        let signing = signing_key(algorithm, private.as_bytes());
        let auth = with_public_key(&public).unwrap();
        let claims = json!({"sub": ORG});
        assert!(verify(&auth, &token(algorithm, &claims, &signing), NOW).is_ok());

        // The oldest trick on JWTs: the public key as shared secret.
        let secret = EncodingKey::from_secret(public.as_bytes());
        let forged = token(Algorithm::HS256, &claims, &secret);
        assert_eq!(verify(&auth, &forged, NOW), Err(AuthError::Malformed));
        assert_eq!(
            with_public_key(&private).err(),
            Some(InvalidKey::NotAPublicKey)
        );
    }
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = with_public_key(&p384.public_key_pem());
    assert_eq!(p384.err(), Some(InvalidKey::NotAPublicKey));
    assert_eq!(
        with_public_key("text").err(),
        Some(InvalidKey::NotAPublicKey)
    );
}

#[test]
fn an_empty_secret_is_none() {
    let keys = VerifyingKeys {
        shared_secret: Some(Secret::new(Vec::new())),
        public_key_pem: None,
    };
    assert_eq!(Auth::new(&keys).err(), Some(InvalidKey::EmptySecret));
}

fn with_public_key(pem: &str) -> Result<Auth, InvalidKey> {
    Auth::new(&VerifyingKeys {
        shared_secret: None,
        public_key_pem: Some(pem.to_owned()),
    })
}

fn signing_key(algorithm: Algorithm, pem: &[u8]) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    }
    .unwrap()
}

fn encoded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn what_else_a_token_says() {
    let auth = auth();
    let claims = json!({"sub": ORG, "iat": 1_795_421_999.123, "hookseal:scopes": ["read"],
        "hookseal:flags": ["beta"]});
    let (runtime, store, _) = &*EMPTY;
    let known = runtime.block_on(auth.authenticate(store, &hmac_token(&claims), NOW));
    let grant = known.unwrap().grant;
    let issued_at = Timestamp::from_millis(1_795_421_999_123);
    assert_eq!(grant.scopes, Scopes::READ);
    assert_eq!(grant.feature_flags, ["beta"]);
    assert_eq!(grant.issued_at, Some(issued_at));
    assert_eq!((grant.ends_at, grant.source), (None, Source::SharedSecret));
    for scopes in [json!([]), json!(["everything"]), json!("read")] {
        let claims = json!({"sub": ORG, "hookseal:scopes": scopes});
        check(&claims, Err(AuthError::Malformed));
    }
    let text = "hsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(verify(&auth, text, NOW), Err(AuthError::Unknown));
}
