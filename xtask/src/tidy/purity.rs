//! What only some crates may do: read a clock, touch the world, open sockets.

use crate::tidy::rust_source::RustSource;
use crate::tidy::{Finding, Rule};

static PURE: Rule = Rule {
    name: "pure",
    reason: "pki, domain and catalogue do no IO and know no clock (invariant 1): pass in what they need",
};
static SOCKETS: Rule = Rule {
    name: "sockets",
    reason: "sockets to strangers are opened only in egress, to a screened address (invariant 2); \
             where the peer is ourselves, say so in a comment `// socket: <why>`",
};

const PURE_CRATES: [&str; 3] = [
    "crates/catalogue/src/",
    "crates/domain/src/",
    "crates/pki/src/",
];

/// The world, as code names it.
const WORLD: [&str; 12] = [
    ".await",
    "Instant::now",
    "SystemTime::now",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "aws_lc_rs::rand",
    "std::env",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
];

/// Crates that run beside egress and must leave connecting to it.
const CONNECTED_CRATES: [&str; 3] = [
    "crates/engine/src/",
    "crates/server/src/",
    "crates/store/src/",
];
const CONNECTING: [&str; 4] = [
    "TcpSocket::",
    "TcpStream::connect",
    "UdpSocket::",
    "UnixStream::connect",
];

pub(super) fn check(source: &RustSource<'_>) -> Vec<Finding> {
    let lies_in = |crates: &[&str]| crates.iter().any(|folder| source.path.starts_with(folder));
    let mut findings = Vec::new();
    for (line_number, line) in source.numbered() {
        let names = |words: &[&str]| words.iter().any(|word| line.code.contains(word));
        if source.is_test(line_number) {
            break;
        }
        if lies_in(&PURE_CRATES) && names(&WORLD) {
            findings.push(Finding::error(&PURE, line_number, line.raw.trim()));
        }
        let excused = source.is_excused(line_number, "socket:");
        if lies_in(&CONNECTED_CRATES) && names(&CONNECTING) && !excused {
            findings.push(Finding::error(&SOCKETS, line_number, line.raw.trim()));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::tidy::broken;

    #[track_caller]
    fn check(path: &str, code: &str, expect: &[&str]) {
        assert_eq!(
            broken(path, &format!("//! A thing.\n{code}")),
            expect,
            "{code}"
        );
    }

    #[test]
    fn the_domain_knows_no_world() {
        let now = "fn a() { SystemTime::now(); }\n";
        check("crates/domain/src/a.rs", now, &["pure:2"]);
        check("crates/engine/src/a.rs", now, &[]);
        check("crates/pki/src/a.rs", "use std::fs;\n", &["pure:2"]);
        check(
            "crates/pki/src/a.rs",
            "// Never std::fs.\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
            &[],
        );
        check("crates/pki/tests/it/a.rs", "use std::fs;\n", &[]);
    }

    #[test]
    fn only_egress_connects() {
        let connect = "fn a() { TcpStream::connect(b); }\n";
        check("crates/engine/src/a.rs", connect, &["sockets:2"]);
        check("crates/egress/src/a.rs", connect, &[]);
        check("crates/testkit/src/a.rs", connect, &[]);
        check(
            "crates/server/src/a.rs",
            &format!("// socket: our own listener\n{connect}"),
            &[],
        );
    }
}
