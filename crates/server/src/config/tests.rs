//! Tests of the configuration as a whole: what wins, what is refused and how that is said.

use std::fs;
use std::time::Duration;

use hookseal_domain::delivery::breaker::BreakerRule;
use tempfile::TempDir;

use crate::config::Config;
use crate::config::source::Sources;

/// Sources over a file, each as text; `set` and `environment` are separated by blanks.
struct Written {
    folder: TempDir,
    sources: Sources,
}

impl Written {
    fn file(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hookseal.toml");
        fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        Self { folder, sources }
    }

    fn environment(mut self, name: &str, value: &str) -> Self {
        let variable = (name.to_owned(), value.to_owned());
        self.sources.environment.push(variable);
        self
    }

    fn set(mut self, assignment: &str) -> Self {
        self.sources.set.push(assignment.parse().unwrap());
        self
    }

    fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.sources.flags.push((flag, key, value.to_owned()));
        self
    }

    fn load(&self) -> Result<Config, String> {
        let folder = format!("{}/", self.folder.path().display());
        Config::load("data".into(), &self.sources)
            .map_err(|errors| errors.to_string().replace(&folder, ""))
    }

    fn config(&self) -> Config {
        self.load().unwrap()
    }

    /// Checks the lines after the first.
    fn refused(&self, expect: &[&str]) {
        let text = self.load().unwrap_err();
        let lines: Vec<_> = text.lines().skip(1).map(str::trim_start).collect();
        assert_eq!(lines, expect);
    }
}

#[test]
fn nothing_has_to_be_configured() {
    let config = Config::load("data".into(), &Sources::default()).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8071");
    assert_eq!(config.server.payload_bytes_max.bytes(), 1 << 20);
    assert_eq!(config.delivery.timeout, Duration::from_secs(15));
    assert_eq!(config.delivery.retry_schedule.len(), 9);
    assert!(config.api.rate_per_token.is_none());
    assert_eq!(config.master_key_file().to_str(), Some("data/master.key"));
}

#[test]
fn a_later_source_wins() {
    let written = Written::file("[delivery]\ntimeout = \"11s\"\n");
    let timeout = |written: &Written| written.config().delivery.timeout.as_secs();
    assert_eq!(timeout(&written), 11);
    let written = written.environment("HOOKSEAL_DELIVERY_TIMEOUT", "12s");
    assert_eq!(timeout(&written), 12);
    let written = written
        .set("delivery.timeout=13s")
        .set("delivery.timeout=14s");
    assert_eq!(timeout(&written), 14);
    let written =
        written
            .set("server.listen=127.0.0.1:1")
            .flag("--listen", "server.listen", "127.0.0.1:2");
    assert_eq!(written.config().server.listen.port(), 2);
}

#[test]
fn an_empty_value_takes_back_what_may_be_absent() {
    let written = Written::file("[api]\nrate_per_token = 5\n");
    assert_eq!(written.config().api.rate_per_token, Some(5));
    let written = written.environment("HOOKSEAL_API_RATE_PER_TOKEN", "");
    assert_eq!(written.config().api.rate_per_token, None);
}

#[test]
fn lists_are_written_in_two_ways() {
    for text in [
        "delivery.retry_schedule=1s,2m",
        "delivery.retry_schedule=[\"1s\", \"2m\"]",
    ] {
        let schedule = Written::file("").set(text).config().delivery.retry_schedule;
        assert_eq!(schedule, [Duration::from_secs(1), Duration::from_secs(120)]);
    }
    let none = Written::file("").set("delivery.retry_schedule=").config();
    assert!(none.delivery.retry_schedule.is_empty());
}

#[test]
fn all_errors_are_told_at_once() {
    Written::file("[delivery]\ntimeout = \"90s\"\nmax_in_flight = 0\n\n[server]\nlissen = 5\n")
        .environment("HOOKSEAL_EGRESS_PLAIN_HTTP", "sometimes")
        .environment("HOOKSEAL_EGRESS_PLAIN_HTP", "never")
        .set("egress.allow_networks=10.0.0.0/8,10.1.2.3.4")
        .set("store.url=postgres://x")
        .refused(&[
            "server.lissen (hookseal.toml:6): unknown key; did you mean server.listen?",
            "HOOKSEAL_EGRESS_PLAIN_HTP: unknown environment variable; did you mean \
             HOOKSEAL_EGRESS_PLAIN_HTTP?",
            "store.url = \"postgres://x\" (--set): must be sqlite: and the path of a file, such as \
             sqlite:data/hookseal.db",
            "delivery.timeout = \"90s\" (hookseal.toml:2): must be a duration such as 250ms, 15s, \
             5m, 2h or 30d, from 1s to 60s",
            "delivery.max_in_flight = \"0\" (hookseal.toml:3): must be a whole number, from 1 to \
             1000000",
            "egress.allow_networks = \"10.0.0.0/8,10.1.2.3.4\" (--set): must be a list, each item a \
             network in CIDR form, such as 10.1.0.0/16 or fd00::/8",
            "egress.plain_http = \"sometimes\" (HOOKSEAL_EGRESS_PLAIN_HTTP): must be one of never, \
             allowed_networks, always",
        ]);
}

#[test]
fn shapes_that_no_setting_has_are_refused() {
    Written::file("listen = 1\n[delivery.timeout]\nlong = \"90s\"\n[sever]\nlisten = \"x\"\n")
        .refused(&[
            "listen (hookseal.toml:1): unknown key",
            "sever.listen (hookseal.toml:5): unknown key; did you mean server.listen?",
            "delivery.timeout = a table (hookseal.toml:2): must be a duration such as 250ms, 15s, \
             5m, 2h or 30d, from 1s to 60s",
        ]);
}

#[test]
fn a_secret_is_never_shown() {
    let text = Written::file("[auth]\njwt_secret = [\"hush\"]\n")
        .load()
        .unwrap_err();
    assert!(
        text.contains("auth.jwt_secret (hookseal.toml:2): must be"),
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
    let config = Written::file("").set("auth.jwt_secret=hush").config();
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_told() {
    Written::file("[delivery]\ntimeout = = 5\n")
        .refused(&["hookseal.toml:2: is no valid TOML: extra `=`, expected nothing"]);
    let mut written = Written::file("");
    written.sources.file = Some(written.folder.path().join("none.toml"));
    written.refused(&["none.toml: cannot be read: No such file or directory (os error 2)"]);
}

#[test]
fn variables_of_others_are_left_alone() {
    let written = Written::file("")
        .environment("PATH", "x")
        .environment("HOOKSEAL_CONFIG", "x")
        .environment("HOOKSEAL_DATA_DIR", "x")
        .environment("HOOKSEAL_SERVICE_HOST", "10.0.0.1")
        .environment("HOOKSEAL_PORT_8071_TCP_ADDR", "10.0.0.1");
    written.config();
}

#[test]
fn plaintext_on_an_open_address_needs_a_word() {
    let open = || Written::file("").set("server.listen=0.0.0.0:8071");
    open().refused(&[
        "server.listen: 0.0.0.0:8071 is not loopback and there is no TLS: tokens and payloads \
         would be readable on the way; set server.tls_cert and server.tls_key, or \
         server.allow_plaintext = true behind a proxy that ends TLS",
    ]);
    open().set("server.allow_plaintext=true").config();
    open()
        .set("server.tls_cert=a")
        .set("server.tls_key=b")
        .config();
    Written::file("")
        .set("server.tls_cert=a")
        .refused(&["server.tls_key: must be set as well, since server.tls_cert is"]);
}

#[test]
fn a_schedule_is_bounded() {
    let long = vec!["1s"; 51].join(",");
    Written::file("")
        .set(&format!("delivery.retry_schedule={long}"))
        .refused(&["delivery.retry_schedule: has 51 steps, at most 50 are allowed"]);
}

#[test]
fn history_outlives_the_schedule() {
    let kept = |hours: u32| Written::file("").set(&format!("retention.history={hours}h"));
    kept(91).config();
    kept(90).refused(&[
        "retention.history: is shorter than the 91h that delivery.retry_schedule may take: \
         messages would be forgotten before they are delivered",
    ]);
    kept(1).set("delivery.retry_schedule=5s,5m").config();
}

#[test]
fn the_breaker_goes_by_the_rule_of_the_domain() {
    let config = Written::file("").config();
    let rule = config
        .breaker
        .rule(config.delivery.handshake_probe_interval);
    assert_eq!(rule, BreakerRule::default());
}

#[test]
fn a_network_that_names_an_address_is_refused() {
    Written::file("")
        .set("egress.allow_networks=10.0.0.1/8,10.0.0.0/8,fd00::1/8,127.0.0.1/32")
        .refused(&[
            "egress.allow_networks: 10.0.0.1/8 names an address inside of a network; write \
             10.0.0.0/8 for the whole network, or 10.0.0.1/32 for that address alone",
            "egress.allow_networks: fd00::1/8 names an address inside of a network; write \
             fd00::/8 for the whole network, or fd00::1/128 for that address alone",
        ]);
}

#[test]
fn names_of_the_operator_are_ones_that_policies_can_say() {
    Written::file("")
        .set("egress.identities=a=c,k,none=c,k,ep_1=c,k,a=c,k")
        .set("egress.proxies=p=http://p:1,p=socks5://p:1")
        .refused(&[
            "egress.identities: none can't be a name: it is what policies say for nothing",
            "egress.identities: ep_1 can't be a name: ep_ is how the names begin that endpoints \
             give",
            "egress.identities: a is there twice",
            "egress.proxies: p is there twice",
        ]);
}

#[test]
fn a_password_in_a_proxy_is_not_shown() {
    let text = Written::file("")
        .set("egress.proxies=dmz=http://us:sesame@proxy:3128")
        .load()
        .unwrap_err();
    assert!(text.contains("without user and password"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
}

#[test]
fn a_token_is_configured_whole() {
    Written::file("")
        .set("egress.identities=a=c.pem,pkcs11:key")
        .refused(&[
            "egress.pkcs11_module: must be set, since the key of a in egress.identities is in a \
             token",
        ]);
    Written::file("").set("egress.pkcs11_token=t").refused(&[
        "egress.pkcs11_module: must be set as well, since egress.pkcs11_token is",
        "egress.pkcs11_pin_file: must be set as well, since egress.pkcs11_token is",
    ]);
}

#[test]
fn what_proxies_and_tokens_are_told_is_read_from_files() {
    let written = Written::file("");
    let place = |name: &str| written.folder.path().join(name);
    fs::write(place("pin"), "1234\n").unwrap();
    fs::write(place("credentials"), "dmz us:sesame\n").unwrap();
    let (pin, credentials) = (place("pin"), place("credentials"));
    let written = written
        .set("egress.pkcs11_module=m.so")
        .set("egress.pkcs11_token=t")
        .set(&format!("egress.pkcs11_pin_file={}", pin.display()))
        .set("egress.proxies=dmz=http://proxy:3128,lan=socks5://[::1]:1080")
        .set("egress.proxy=dmz")
        .set(&format!(
            "egress.proxy_credentials={}",
            credentials.display()
        ));
    let egress = written.config().egress.egress().unwrap();
    assert_eq!(egress.token.unwrap().pin.expose(), "1234");
    let known = egress
        .proxies
        .iter()
        .map(|proxy| proxy.credentials.is_some());
    assert_eq!(known.collect::<Vec<_>>(), [true, false]);

    fs::write(&pin, "\n").unwrap();
    let error = written.config().egress.egress().unwrap_err().to_string();
    assert!(
        error.ends_with("must have one line, with the PIN"),
        "{error}"
    );
}
