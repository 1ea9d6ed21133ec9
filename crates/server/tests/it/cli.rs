//! The command line as scripts use it: what is printed where, and the code it ends with.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use hookseal_testkit::server_process::{Disk, ServerProcess};

use crate::support::binary;

const ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";

/// Runs the binary in a folder of its own, with nothing in its environment.
struct Shell {
    folder: TempDir,
}

/// What came of it.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn run(&self, arguments: &str) -> Ended {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ended {
        let output = Command::new(binary())
            .args(arguments.split_ascii_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .envs(environment.iter().copied())
            .output();
        Ended::from(output.unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn claims(token: &str) -> Value {
    let payload = token.trim().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn usage_errors_are_told_apart() {
    let shell = Shell::new();
    for arguments in [
        "",
        "fly",
        "serve --set delivery.timeout",
        "token",
        "token --org org_short",
        "token --org org_23rb8YdGqMT0qIzpgGwdXfHirMu --app app_short",
        "token --org org_23rb8YdGqMT0qIzpgGwdXfHirMu --expires soon",
        "token --org org_23rb8YdGqMT0qIzpgGwdXfHirMu --expires 0s",
    ] {
        let ended = shell.run(arguments);
        assert_eq!(ended.code, Some(64), "{arguments}: {}", ended.err);
        assert_eq!(ended.out, "", "{arguments}");
    }
    assert_eq!(shell.run("--version").code, Some(0));
    assert_eq!(shell.run("serve --help").code, Some(0));
}

#[test]
fn a_bad_configuration_opens_no_port() {
    let shell = Shell::new();
    shell.write("hookseal.toml", "[delivery]\ntimeout = \"90s\"\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let arguments = format!("serve --config hookseal.toml --listen {listen} --set egres.x=1");
    let ended = shell.run(&arguments);
    assert_eq!(ended.code, Some(78));
    assert_eq!(
        ended.err,
        "error: the configuration can't be used:\n  \
         egres.x (--set): unknown key\n  \
         delivery.timeout = \"90s\" (hookseal.toml:2): must be a duration such as 250ms, 15s, 5m, \
         2h or 30d, from 1s to 60s\n"
    );
    assert!(
        !shell.folder.path().join("data").exists(),
        "nothing is made"
    );
}

#[test]
fn files_that_the_configuration_names_are_checked_first() {
    let shell = Shell::new();
    shell.write("roots.pem", "nothing");
    let ended = shell.run(
        "serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
         --set egress.extra_roots=roots.pem --set server.tls_cert=a.pem --set server.tls_key=b.pem \
         --set auth.jwt_public_key=c.pem",
    );
    assert_eq!(ended.code, Some(78), "{}", ended.err);
    for key in [
        "egress.extra_roots: ",
        "server.tls_cert: a.pem: ",
        "auth.jwt_public_key: c.pem: ",
    ] {
        assert!(ended.err.contains(&format!("\n  {key}")), "{}", ended.err);
    }
    assert!(
        !shell.folder.path().join("data").exists(),
        "nothing is made"
    );
}

#[test]
fn plaintext_on_an_open_address_is_refused() {
    let ended = Shell::new().run("serve --listen 0.0.0.0:0");
    assert_eq!(ended.code, Some(78));
    assert!(
        ended
            .err
            .contains("server.listen: 0.0.0.0:0 is not loopback"),
        "{}",
        ended.err
    );
}

#[test]
fn a_port_that_is_taken_is_told_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = Shell::new().run(&format!("serve --listen {address}"));
    assert_eq!(ended.code, Some(1));
    let start = format!("error: server.listen: can't listen on {address}: ");
    assert!(ended.err.starts_with(&start), "{}", ended.err);
    assert_eq!(ended.err.matches("in use").count(), 1, "{}", ended.err);
}

#[test]
fn a_token_stands_alone_on_standard_output() {
    let shell = Shell::new();
    let ended = shell.run(&format!("token --data-dir d --org {ORG}"));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out.lines().count(), 1);
    let said = claims(&ended.out);
    assert_eq!(said["sub"], ORG);
    assert!(said["iat"].is_f64() && said.get("exp").is_none(), "{said}");

    let app = "app_3MUkCwIw3LYJxx9DgleAnQyfY5y";
    let ended = shell.run(&format!(
        "token --data-dir d --org {ORG} --app {app} --expires 30d"
    ));
    let said = claims(&ended.out);
    assert_eq!((&said["org"], &said["sub"]), (&json!(ORG), &json!(app)));
    // To the second, from a time to the thousandth.
    let validity = said["exp"].as_f64().unwrap() - said["iat"].as_f64().unwrap().floor();
    assert!((validity - 30.0 * 86_400.0).abs() <= 1.0, "{said}");
}

#[test]
fn every_command_takes_the_same_sources() {
    let shell = Shell::new();
    shell.write("some.toml", "[store]\nurl = \"sqlite:from-file.db\"\n");
    let named = |ended: Ended| ended.out.split_once(':').unwrap().0.to_owned();
    let check = "migrate --check";
    assert_eq!(named(shell.run(check)), "data/hookseal.db");
    assert_eq!(
        named(shell.run(&format!("{check} --data-dir d"))),
        "d/hookseal.db"
    );
    let data_dir = [("HOOKSEAL_DATA_DIR", "e")];
    assert_eq!(named(shell.run_with(check, &data_dir)), "e/hookseal.db");
    let config = [("HOOKSEAL_CONFIG", "some.toml")];
    assert_eq!(named(shell.run_with(check, &config)), "from-file.db");
    let both = [
        config[0],
        ("HOOKSEAL_STORE_URL", "sqlite:from-environment.db"),
    ];
    assert_eq!(named(shell.run_with(check, &both)), "from-environment.db");
    let set = format!("{check} --set store.url=sqlite:from-set.db");
    assert_eq!(named(shell.run_with(&set, &both)), "from-set.db");
}

#[test]
fn migrating_is_checked_and_done() {
    let shell = Shell::new();
    assert_eq!(shell.run("migrate --check").code, Some(1));
    let done = shell.run("migrate");
    assert_eq!(done.code, Some(0), "{}", done.err);
    let checked = shell.run("migrate --check");
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    assert!(checked.out.ends_with("is up to date\n"), "{}", checked.out);
}

#[test]
fn the_doctor_says_what_to_do() {
    let shell = Shell::new();
    let addresses = "--set server.listen=127.0.0.1:0 --set server.admin_listen=127.0.0.1:0";
    let healthy = shell.run(&format!("doctor {addresses}"));
    assert_eq!(healthy.code, Some(0), "{}", healthy.out);
    assert!(
        !shell.folder.path().join("data").exists(),
        "it changes nothing"
    );

    assert_eq!(shell.run("migrate").code, Some(0));
    let data = shell.folder.path().join("data");
    fs::set_permissions(data.join("master.key"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = shell.run(&format!(
        "doctor --set server.listen={} --set server.admin_listen=127.0.0.1:0 \
         --set auth.jwt_secret=hush --set server.tls_cert=a.pem --set server.tls_key=b.pem",
        taken.local_addr().unwrap()
    ));
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    for line in [
        "ok    configuration: can be used",
        "warn  data directory data: has mode 755, so that others can look into it; run chmod 700 \
         data",
        "fail  master key data/master.key: the key file has mode 644, so that others can read it; \
         run chmod 600 data/master.key",
        "warn  token secret: is shorter than 32 bytes, so that it can be guessed from a token; set \
         a longer auth.jwt_secret and make new tokens",
        "fail  server.tls_cert: a.pem: cannot be read: No such file or directory (os error 2)",
    ] {
        assert!(
            ended.out.lines().any(|found| found == line),
            "{line}\n{}",
            ended.out
        );
    }
    assert!(
        ended.out.contains("is in use by another program"),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("hush"), "{}", ended.out);

    let ended = shell.run("doctor --set delivery.timeout=90s");
    assert_eq!(ended.code, Some(78));
    assert!(
        ended
            .out
            .starts_with("fail  delivery.timeout = \"90s\" (--set): must"),
        "{}",
        ended.out
    );
}

#[tokio::test]
async fn a_server_refuses_what_it_can_not_share_or_open() {
    let settings = ["log.format=json", "auth.jwt_secret=hush"];
    let settings = settings.map(str::to_owned).to_vec();
    let mut server = ServerProcess::start(binary(), settings, Disk::Usual)
        .await
        .unwrap();
    let data = server.data_dir();
    let again = || {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .args(["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--admin-listen", "127.0.0.1:0", "--data-dir"]);
        Ended::from(command.arg(&data).output().unwrap())
    };
    let ended = again();
    assert_eq!(ended.code, Some(1));
    let in_use = "error: the database can't be opened: another process uses the database\n";
    assert!(ended.err.ends_with(in_use), "{}", ended.err);

    assert!(server.stop().await.unwrap().success(), "SIGTERM ends well");
    for line in server.log().lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    assert!(server.log().contains("Got SIGTERM"), "{}", server.log());

    let weak = server.log().matches("set a longer auth.jwt_secret").count();
    assert_eq!(weak, 1, "{}", server.log());
    assert!(!server.log().contains("hush"), "{}", server.log());

    fs::remove_file(data.join("master.key")).unwrap();
    let ended = again();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("there is a database, but the key file"),
        "{}",
        ended.err
    );
    assert!(!data.join("master.key").exists(), "no other key is made");
}
