//! Cases in the format of the suite, made on the spot: the command must judge each as it says.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};

use crate::limbo::judge_all;
use crate::limbo::report::Report;

/// 2026-11-23T00:00:00Z, within the years in which what is made here is valid.
const NOW_SECS: u64 = 1_795_392_000;
const NAME: &str = "hooks.example.com";

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn dated() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = dated();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params() -> CertificateParams {
    let mut params = dated();
    params.subject_alt_names = vec![SanType::DnsName(NAME.try_into().unwrap())];
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(SerialNumber::from(7_u64));
    params
}

impl Ca {
    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    fn issue(&self, params: &CertificateParams) -> String {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().pem()
    }

    fn crl(&self, serial: u64) -> String {
        CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 11, 1),
            next_update: date_time_ymd(2026, 12, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2026, 11, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap()
        .pem()
        .unwrap()
    }
}

/// A case as the suite writes it, for a server that is called [`NAME`].
fn case(id: &str, expect: &str, root: &Ca, sent: &[&Ca], leaf: &str) -> Value {
    json!({
        "id": id,
        "conflicts_with": [],
        "features": [],
        "importance": "undetermined",
        "description": "A case of our own.",
        "validation_kind": "SERVER",
        "trusted_certs": [root.pem],
        "untrusted_intermediates": sent.iter().map(|ca| &ca.pem).collect::<Vec<_>>(),
        "peer_certificate": leaf,
        "peer_certificate_key": null,
        "validation_time": null,
        "signature_algorithms": [],
        "key_usage": [],
        "extended_key_usage": [],
        "expected_result": expect,
        "expected_peer_name": { "kind": "DNS", "value": NAME },
        "expected_peer_names": [],
        "max_chain_depth": null,
        "crls": [],
    })
}

fn with(mut case: Value, field: &str, value: Value) -> Value {
    case[field] = value;
    case
}

fn run(cases: &[Value]) -> anyhow::Result<Report> {
    let suite = json!({ "version": 1, "testcases": cases });
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_SECS));
    judge_all(&suite.to_string(), now)
}

fn ours() -> Vec<Value> {
    let root = Ca::root(ca_params("Root"));
    let middle = root.below(ca_params("Middle"));
    let leaf = middle.issue(&server_params());
    let good = |id: &str| case(id, "SUCCESS", &root, &[&middle], &leaf);
    let bad = |id: &str| case(id, "FAILURE", &root, &[&middle], &leaf);
    let of =
        |id: &str, params: &CertificateParams| case(id, "FAILURE", &root, &[], &root.issue(params));
    let changed = |change: fn(&mut CertificateParams)| {
        let mut params = server_params();
        change(&mut params);
        params
    };
    let below = |id: &str, change: fn(&mut CertificateParams)| {
        let mut params = ca_params("Changed");
        change(&mut params);
        let ca = root.below(params);
        case(id, "FAILURE", &root, &[&ca], &ca.issue(&server_params()))
    };
    let address = json!({ "kind": "IP", "value": "192.0.2.7" });
    let extension = || CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1], vec![5, 0]);
    let mut twice = server_params();
    twice.custom_extensions = vec![extension(), extension()];
    let stranger = Ca::root(ca_params("Stranger"));
    vec![
        good("ours::good"),
        with(good("ours::null-lists"), "features", Value::Null),
        with(
            good("ours::own-purpose"),
            "extended_key_usage",
            json!(["serverAuth"]),
        ),
        with(
            good("ours::time"),
            "validation_time",
            json!("2026-06-01T00:00:00+00:00"),
        ),
        with(
            good("ours::other-serial-revoked"),
            "crls",
            json!([middle.crl(8)]),
        ),
        with(bad("ours::revoked"), "crls", json!([middle.crl(7)])),
        with(
            bad("ours::late"),
            "validation_time",
            json!("2027-01-01T00:00:01Z"),
        ),
        with(
            bad("ours::early"),
            "validation_time",
            json!("2025-12-31T23:59:59.5Z"),
        ),
        with(bad("ours::other-name"), "expected_peer_name", address),
        with(
            bad("ours::other-root"),
            "trusted_certs",
            json!([stranger.pem]),
        ),
        with(
            bad("ours::missing-intermediate"),
            "untrusted_intermediates",
            json!([]),
        ),
        with(
            bad("ours::ca-as-server"),
            "peer_certificate",
            json!(middle.pem),
        ),
        of(
            "ours::purpose",
            &changed(|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]
            }),
        ),
        of("ours::extension-twice", &twice),
        below("ours::not-a-ca", |params| params.is_ca = IsCa::ExplicitNoCa),
        below("ours::may-not-issue", |params| {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }),
        below("ours::constrained", |params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
                excluded_subtrees: vec![],
            });
        }),
        with(good("ours::client"), "validation_kind", json!("CLIENT")),
        with(good("ours::depth"), "features", json!(["max-chain-depth"])),
    ]
}

#[test]
fn cases_of_our_own() {
    let report = run(&ours()).unwrap();
    let text = report.to_string();
    assert!(text.ends_with("agree 17, diverge 0, skip 2"), "{text}");
    assert!(report.is_good());
    assert!(
        text.contains("  ours::client\n") && text.contains("  ours::depth\n"),
        "{text}"
    );
}

#[test]
fn divergences_are_named() {
    let mut cases = ours();
    cases[0]["expected_result"] = json!("FAILURE");
    cases[5]["expected_result"] = json!("SUCCESS");
    let report = run(&cases).unwrap();
    let text = report.to_string();
    for words in [
        "DIVERGES ours::good: expected FAILURE, accepted; and no rule of inspection finds it",
        "DIVERGES ours::revoked: expected SUCCESS, refused: revoked on 2026-11-01",
        "agree 15, diverge 2, skip 2",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(!report.is_good());
}

/// What stricter software refuses is found, and is no failure of the run.
#[test]
fn inspection_counts() {
    let root = Ca::root(ca_params("Root"));
    let mut params = server_params();
    params.use_authority_key_identifier_extension = false;
    let leaf = root.issue(&params);
    let report = run(&[case("ours::no-aki", "FAILURE", &root, &[], &leaf)]).unwrap();
    let text = report.to_string();
    assert!(
        text.contains("inspection finds authority_key_id_missing"),
        "{text}"
    );
    assert!(report.is_good());
}

#[test]
fn other_files_are_refused() {
    let now = UnixTime::since_unix_epoch(Duration::ZERO);
    judge_all("no JSON", now).unwrap_err();
    judge_all("{}", now).unwrap_err();
    let error = judge_all(r#"{"version": 2, "testcases": []}"#, now).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}
