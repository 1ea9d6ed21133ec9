//! Certificates that no library of ours would issue: OpenSSL's command line does.

use std::path::Path;
use std::process::Command;

use hookseal_testkit::test_ca::TestCa;

/// Within what it issues, whose first second is now by the clock of this machine.
pub(crate) const THEN: &str = "2035-01-01T00:00:00Z";

/// Writes a certificate of `ca` for `hooks.test` to `weak.pem` and its key to `weak.key`.
pub(crate) fn issue(ca: &TestCa, folder: &Path, new_key: &[&str], digest: &str) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("ca.pem", ca.pem());
    write("ca.key", ca.key_pem());
    write(
        "extensions",
        "subjectAltName=DNS:hooks.test\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n"
            .to_owned(),
    );
    let request = ["req", "-nodes", "-keyout", "weak.key", "-out", "weak.csr"];
    openssl(
        folder,
        &[&request[..], &["-subj", "/CN=weak"], new_key].concat(),
    );
    let sign = [
        "x509", "-req", "-in", "weak.csr", "-out", "weak.pem", digest,
    ];
    let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "99"];
    let about = ["-days", "7300", "-extfile", "extensions"];
    openssl(folder, &[&sign[..], &by, &about].concat());
}

/// Writes a certificate for `hooks.test` that issued itself to `own.pem` and its key to `own.key`.
pub(crate) fn self_signed(folder: &Path) {
    let make = ["req", "-x509", "-nodes", "-days", "7300"];
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let subject = ["-subj", "/CN=hooks.test"];
    let name = ["-addext", "subjectAltName=DNS:hooks.test"];
    let files = ["-keyout", "own.key", "-out", "own.pem"];
    openssl(folder, &[&make[..], &key, &subject, &name, &files].concat());
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
}
