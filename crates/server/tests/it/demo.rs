//! `hookseal demo` and `hookseal listen`, as a stranger meets them first.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use hookseal::runtime::clock::SystemClock;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_engine::clock::Clock;
use tempfile::TempDir;

use crate::support::binary;

/// Runs `hookseal demo` with a temporary directory of its own, which it must leave empty.
fn demo(arguments: &[&str], stdin: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(binary())
        .arg("demo")
        .args(arguments)
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        // Whatever is configured on this machine does not concern the demo.
        .env("HOOKSEAL_SERVER_LISTEN", "nonsense")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "left over");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_demo_delivers_everything() {
    let output = demo(&["--once"], "");
    let (shown, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}\n{errors}");
    assert_eq!(errors, "");
    for expect in [
        "Hookseal demo: 10 events to three receivers",
        "\n  API      http://127.0.0.1:",
        "TLSv1.3 X25519MLKEM768  accepted\n",
        "  healthy  received 10    verified (v1, HMAC) 10    accepted 10    duplicates 0\n",
        "  flaky    received 30    verified (v1a, ed25519) 30    accepted 10    duplicates 0\n",
        " failed before; the task finished and made ",
        " again; now 10 of 10 delivered.\n\nThe same, by the receivers\n",
        "\nEverything arrived: 10 events, byte for byte, every signature verified.\n\
         \"gone\" was disabled, came back, and lacks nothing.\n",
    ] {
        assert!(shown.contains(expect), "{expect:?} is not in\n{shown}");
    }
    // How many attempts were under way when the first 410 came is not ours to say.
    let complete = |line: &&str| line.ends_with(" accepted 10    duplicates 0");
    assert_eq!(shown.lines().filter(complete).count(), 3, "{shown}");
    let accepted = shown.matches("  accepted\n").count();
    assert_eq!(accepted, 20, "{shown}");
}

#[test]
fn the_demo_of_mutual_tls_rotates_both_sides() {
    let output = demo(&["--mtls", "--once"], "");
    let (shown, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}\n{errors}");
    assert_eq!(errors, "");
    for expect in [
        "  bank       accepted     -                     HTTP requests seen by it: 1\n",
        "  impostor   not_trusted  pin_mismatch          HTTP requests seen by it: 0\n",
        "  anonymous  not_trusted  certificate_required  HTTP requests seen by it: 0\n",
        "retiring 1 now is refused: the new one was not seen yet\n",
        "certificate 2 seen: the bank accepted it\n",
        "the new key was seen: its pin becomes active\n",
        "failed attempts 0.\n",
        "\nBoth rotations went through without a failed delivery; ",
    ] {
        assert!(shown.contains(expect), "{expect:?} is not in\n{shown}");
    }
}

#[test]
fn the_demo_takes_events_from_standard_input() {
    let event = r#"{"payload": {"n": 1.50,  "text": "\u00e9 🔏"}, "eventType": "a.b"}"#;
    let output = demo(&["--once", "--events", "-"], event);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    assert!(
        shown.contains("Everything arrived: 1 event, byte for byte"),
        "{shown}"
    );
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
}

#[test]
fn the_demo_names_the_line_that_is_no_event() {
    let events = "{\"eventType\":\"a\",\"payload\":{}}\n{\"eventType\":\"a b\",\"payload\":{}}\n";
    let output = demo(&["--once", "--events", "-"], events);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let errors = text(&output.stderr);
    assert!(
        errors.starts_with("error: standard input: line 2: eventType may only "),
        "{errors}"
    );
}

/// `hookseal listen`, ended at the end of the test.
struct Listening {
    child: Child,
    shown: BufReader<std::process::ChildStdout>,
    address: String,
    folder: TempDir,
}

impl Listening {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(binary())
            .arg("listen")
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shown = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        shown.read_line(&mut line).unwrap();
        let url = line.strip_prefix("Listening on ").unwrap().trim();
        let address = url.split('/').nth(2).unwrap().to_owned();
        Self {
            child,
            shown,
            address,
            folder,
        }
    }

    /// Posts a body that was signed at `sent_at`, and gives the status code of the answer.
    fn post(&self, key: &SigningKey, sent_at: Timestamp, body: &str) -> String {
        let signature = sign([key], "msg_1", sent_at, body.as_bytes());
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "POST /in HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\
             webhook-id: msg_1\r\nwebhook-timestamp: {}\r\nwebhook-signature: {signature}\r\n\r\n{body}",
            body.len(),
            sent_at.as_secs(),
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    /// What was shown from start to end, and the code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut shown = String::new();
        self.shown.read_to_string(&mut shown).unwrap();
        (shown, self.child.wait().unwrap().code())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(kind: KeyKind, byte: u8) -> SigningKey {
    SigningKey::from_bytes(kind, &[byte; 32]).unwrap()
}

#[test]
fn a_developer_sees_what_is_forged() {
    let now = SystemClock.now();
    for kind in [KeyKind::HmacSha256, KeyKind::Ed25519] {
        let ours = key(kind, 1);
        let secret = ours.receiver_text();
        let listening = Listening::start(&["--secret", secret.expose(), "--count", "3"]);
        assert_eq!(listening.post(&ours, now, "{\"a\":[1]}"), "200");
        assert_eq!(listening.post(&key(kind, 2), now, "{\"b\":[2]}"), "401");
        let old = now.minus(std::time::Duration::from_secs(600));
        assert_eq!(listening.post(&ours, old, "{}"), "401");
        let (shown, code) = listening.end();
        assert_eq!(code, Some(1), "{shown}");
        for expect in [
            "POST /in  HTTP/1.1  from 127.0.0.1:",
            "  webhook-id         msg_1\n",
            "  verification       verified (v1",
            "    {\n      \"a\": [\n        1\n      ]\n    }\n",
            "REFUSED: no signature matches: other key, or changed on the way\n",
            "REFUSED: webhook-timestamp is 60",
        ] {
            assert!(shown.contains(expect), "{expect:?} is not in\n{shown}");
        }
        assert!(!shown.contains(secret.expose()), "{shown}");
    }
}

#[test]
fn a_developer_without_a_key_is_told_so() {
    let listening = Listening::start(&["--reply", "503", "--count", "1"]);
    let ours = key(KeyKind::HmacSha256, 1);
    assert_eq!(listening.post(&ours, SystemClock.now(), "not JSON"), "503");
    let (shown, code) = listening.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("not verified: no --secret\n"), "{shown}");
    assert!(shown.contains("\n    not JSON\n"), "{shown}");
}

#[test]
fn listening_over_tls_leaves_a_root_to_trust() {
    let listening = Listening::start(&["--tls"]);
    let root = fs::read_to_string(listening.folder.path().join("hookseal-listen-ca.pem")).unwrap();
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----\n"), "{root}");
    assert!(!root.contains("PRIVATE"));
}
