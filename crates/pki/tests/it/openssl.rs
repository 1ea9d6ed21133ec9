//! OpenSSL as the other side: what its responder answers and what its CA lists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use hookseal_pki::chain::ObservedChain;
use hookseal_pki::revocation::crl::{Crl, CrlError};
use hookseal_pki::revocation::ocsp::{self, OcspError, ResponderError};
use hookseal_pki::revocation::{Link, SignatureError, Standing, links};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls_pki_types::UnixTime;

use crate::authority::{Authority, server, verdict};

const GOOD: u64 = 0x1001;
const REVOKED: u64 = 0x1002;
const STRANGE: u64 = 0x1003;

/// `None` if there is no OpenSSL here, which CI does not let pass.
fn openssl() -> Option<()> {
    let version = Command::new("openssl").arg("version").output();
    if let Err(error) = &version {
        assert!(std::env::var_os("CI").is_none(), "openssl: {error}");
        eprintln!("SKIPPED openssl: {error}");
    }
    version.ok().map(|_| ())
}

/// A CA whose files lie in a directory, as OpenSSL wants them.
struct Place {
    ca: Authority,
    dir: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("openssl-{name}"));
        fs::create_dir_all(&dir).unwrap();
        let ca = Authority::root("Root");
        let place = Self { ca, dir };
        place.write("ca.pem", &place.ca.pem);
        place.write("ca.key", &place.ca.issuer.key().serialize_pem());
        place.write("serial", "01\n");
        place.write("crlnumber", "2a\n");
        let until = "270101000000Z";
        place.write(
            "index.txt",
            &format!(
                "V\t{until}\t\t{GOOD:X}\tunknown\t/CN=server\n\
                 R\t{until}\t261101120000Z,keyCompromise\t{REVOKED:X}\tunknown\t/CN=server\n"
            ),
        );
        place.write(
            "ca.cnf",
            "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nserial = serial\n\
             crlnumber = crlnumber\ndefault_md = sha256\ndefault_crl_days = 7\n\
             [extended]\nauthorityKeyIdentifier = keyid\n",
        );
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.join(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "openssl {arguments:?}: {said}");
    }

    /// What was made, and when.
    fn made(&self, name: &str) -> (Vec<u8>, UnixTime) {
        let path = self.dir.join(name);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let since = modified.duration_since(UNIX_EPOCH).unwrap();
        (fs::read(path).unwrap(), UnixTime::since_unix_epoch(since))
    }

    fn link(&self, serial: u64) -> Link {
        let mut params = server(&["a.example"]);
        params.serial_number = Some(serial.into());
        let leaf = self.ca.issue(&params);
        let anchors = self.ca.anchors();
        let verified = verdict(&leaf, &[], &anchors, "a.example").unwrap();
        let observed = ObservedChain::new(&leaf, &[]).unwrap();
        links(&observed, &verified, &anchors).unwrap().remove(0)
    }

    /// Files of a responder's certificate and key: `responder.pem` and `responder.key`.
    fn responder(&self, issuer: &Authority, purpose: &[ExtendedKeyUsagePurpose]) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "responder");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2049, 1, 1);
        params.extended_key_usages = purpose.to_vec();
        let certificate = params.signed_by(&key, &issuer.issuer).unwrap();
        self.write("responder.pem", &certificate.pem());
        self.write("responder.key", &key.serialize_pem());
    }

    /// What OpenSSL answers to our request about a certificate, and what we make of it.
    fn ask(&self, serial: u64, with: &[&str]) -> Result<Standing, OcspError> {
        let link = self.link(serial);
        let request = ocsp::request(&link).unwrap();
        fs::write(self.dir.join("request.der"), request).unwrap();
        let fixed = "ocsp -index index.txt -CA ca.pem -reqin request.der -respout answer.der";
        let mut arguments: Vec<_> = fixed.split(' ').collect();
        arguments.extend(with);
        self.run(&arguments);
        let (answer, now) = self.made("answer.der");
        ocsp::verify(&answer, &link, now).map(|answer| answer.standing)
    }
}

const BY_CA: &[&str] = &["-rsigner", "ca.pem", "-rkey", "ca.key", "-ndays", "1"];
const BY_RESPONDER: &[&str] = &[
    "-rsigner",
    "responder.pem",
    "-rkey",
    "responder.key",
    "-ndays",
    "1",
];

fn revocation(standing: Result<Standing, OcspError>) -> Option<String> {
    match standing {
        Ok(Standing::Revoked(revoked)) => Some(revoked.to_string()),
        _ => None,
    }
}

#[test]
fn its_responder_understands_us() {
    let Some(()) = openssl() else { return };
    let place = Place::new("responder");
    let since = Some("on 2026-11-01T12:00:00Z (keyCompromise)");
    assert_eq!(place.ask(GOOD, BY_CA), Ok(Standing::Good));
    assert_eq!(revocation(place.ask(REVOKED, BY_CA)).as_deref(), since);
    assert_eq!(place.ask(STRANGE, BY_CA), Err(OcspError::Unknown));
    let ocsp = [ExtendedKeyUsagePurpose::OcspSigning];
    place.responder(&place.ca, &ocsp);
    assert_eq!(place.ask(GOOD, BY_RESPONDER), Ok(Standing::Good));
    let by_key = [BY_RESPONDER, &["-resp_key_id", "-rmd", "sha384"]].concat();
    assert_eq!(revocation(place.ask(REVOKED, &by_key)).as_deref(), since);
    // Without nextUpdate, and with the certificate left out.
    let endless = &BY_CA[..4];
    assert_eq!(place.ask(GOOD, endless), Ok(Standing::Good));
    let alone = [BY_CA, &["-resp_no_certs"]].concat();
    assert_eq!(place.ask(GOOD, &alone), Ok(Standing::Good));
}

#[test]
fn its_responder_is_not_believed_without_a_mandate() {
    let Some(()) = openssl() else { return };
    let place = Place::new("mandate");
    let wrong = [BY_CA, &["-badsig"]].concat();
    let signature = ResponderError::Signature(SignatureError::Wrong);
    assert_eq!(place.ask(GOOD, &wrong), Err(signature.into()));
    let sha1 = [BY_CA, &["-rmd", "sha1"]].concat();
    let unsupported = ResponderError::Signature(SignatureError::UnsupportedAlgorithm);
    assert_eq!(place.ask(GOOD, &sha1), Err(unsupported.into()));
    place.responder(&place.ca, &[ExtendedKeyUsagePurpose::ServerAuth]);
    let not_for_ocsp = Err(ResponderError::NotForOcsp.into());
    assert_eq!(place.ask(GOOD, BY_RESPONDER), not_for_ocsp);
    place.responder(
        &Authority::root("Root"),
        &[ExtendedKeyUsagePurpose::OcspSigning],
    );
    let not_of_issuer = Err(ResponderError::NotOfIssuer.into());
    assert_eq!(place.ask(GOOD, BY_RESPONDER), not_of_issuer);
}

#[test]
fn its_ca_lists_the_revoked() {
    let Some(()) = openssl() else { return };
    let place = Place::new("list");
    let make = "ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -out list.pem";
    let mut arguments: Vec<_> = make.split(' ').collect();
    arguments.extend(["-crlexts", "extended"]);
    place.run(&arguments);
    let (list, now) = place.made("list.pem");
    let list = Crl::parse(&list).unwrap();
    assert_eq!(list.facts().entries, 1);
    assert_eq!(list.facts().number.as_deref(), Some("2a"));
    assert_eq!(list.check(&place.link(GOOD), now), Ok(Standing::Good));
    let Ok(Standing::Revoked(revoked)) = list.check(&place.link(REVOKED), now) else {
        panic!("not revoked")
    };
    assert_eq!(
        revoked.to_string(),
        "on 2026-11-01T12:00:00Z (keyCompromise)"
    );
}

/// OpenSSL writes lists of version 1 when its configuration says nothing of extensions.
#[test]
fn a_list_of_version_1_is_refused_with_a_hint() {
    let Some(()) = openssl() else { return };
    let place = Place::new("version-1");
    place.write(
        "index.txt",
        &format!("V\t270101000000Z\t\t{GOOD:X}\tunknown\t/CN=server\n"),
    );
    let config = fs::read_to_string(place.dir.join("ca.cnf")).unwrap();
    place.write("ca.cnf", &config.replace("crlnumber = crlnumber\n", ""));
    let make = "ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -out list.pem";
    place.run(&make.split(' ').collect::<Vec<_>>());
    let (list, _) = place.made("list.pem");
    assert_eq!(Crl::parse(&list).unwrap_err(), CrlError::NoExtensions);
}
