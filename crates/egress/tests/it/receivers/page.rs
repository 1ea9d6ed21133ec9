//! The page of the documentation that shows what is expected of each server. The tests hold every
//! server to it, and it to them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use hookseal_domain::delivery::outcome::Fault;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_testkit::real_server::Software;

use super::cell::{Cell, Shown};

/// Writes the page instead of comparing it.
const WRITE: &str = "HOOKSEAL_WRITE_DOCS";
const HOW: &str = "HOOKSEAL_WRITE_DOCS=1 cargo nextest run -p hookseal-egress the_page";

const HEAD: &str = "\
<!-- Made by the tests of crates/egress (receivers/page.rs): HOW -->

# Receivers that demand a client certificate

What an attempt comes to, by the receiver's software and the certificate that we show, in TLS 1.3 \
and TLS 1.2 alike. Each cell is tested with the software itself, made to require and verify client \
certificates: nginx, HAProxy, stunnel, hitch, OpenSSL, GnuTLS and Java 17 as Debian 12 has them, \
Python 3.11, Node.js 20.

The words are those of the field `tlsFailure` of an attempt, of the metrics and of the log. \
*Expired* is what the receiver's clock says: a certificate that has expired by our own clock is not \
shown at all.

";

const TAIL: &str = "\
[^1]: gnutls-serv can't answer a POST: it gets the request and sends it back, which is no answer in \
HTTP, so the attempt is repeated.

In TLS 1.3 the receiver judges our certificate when the handshake is over for us, so that the refusal \
comes instead of an answer. It is also found after writing has failed, as it does with bodies that \
are larger than the sockets' buffers.

nginx completes the handshake and answers with status 400. That says nothing of the message, so it \
is not taken for the application's 400: it does not park the message.

Node.js and Java 17's `HttpsServer` close the connection without an alert, as a broken network does; \
therefore `closed_without_alert` is tried again soon. If it repeats, suspect the certificate. Java 25 \
sends alerts from both of its servers: `certificate_required` and `certificate_unknown`.
";

/// The page as it has to be.
pub(crate) fn page() -> String {
    let mut page = HEAD.replace("HOW", HOW);
    page.push_str("| receiver | no certificate | of a wrong CA | expired | right |\n");
    page.push_str("|---|---|---|---|---|\n");
    let mut words = BTreeSet::new();
    for software in Software::ALL {
        let cells = Shown::ALL.map(|shown| Cell::expected(software, shown));
        let _ = writeln!(page, "{}", row(software, &cells));
        words.extend(cells.into_iter().filter_map(Cell::failure));
    }
    page.push_str("\n| word | whose fault | what to do |\n|---|---|---|\n");
    for failure in words {
        let _ = writeln!(page, "{}", meaning(failure));
    }
    page.push('\n');
    page.push_str(TAIL);
    page
}

/// One server's row.
pub(crate) fn row(software: Software, cells: &[Cell]) -> String {
    let mut row = format!("| {} |", software.name());
    for cell in cells {
        let _ = write!(row, " {cell} |");
    }
    row
}

fn meaning(failure: TlsFailure) -> String {
    let fault = match failure.fault() {
        Fault::Receiver => "the receiver's",
        Fault::Us => "ours",
        Fault::Network => "the network's",
    };
    format!(
        "| `{}` | {fault} | {} |",
        failure.as_str(),
        failure.advice()
    )
}

#[test]
fn the_page_says_what_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/receivers.md");
    let expect = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &expect).unwrap();
    }
    let got = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        got == expect,
        "docs/reference/receivers.md is not up to date, run `{HOW}`"
    );
}
