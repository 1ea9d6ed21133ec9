//! What the doctor looks at, one function each. A finding names the thing, how it is and what to
//! do.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

use hookseal_domain::time::Timestamp;
use hookseal_egress::OperatorIdentityStatus;
use hookseal_store::sqlite::{OpenError, SqliteOptions, SqliteStore};

use crate::cli::doctor::Finding;
use crate::config::Config;
use crate::config::store::StoreUrl;
use crate::keys;
use crate::serve;

/// When this was written: no clock that is right shows less. 2026-01-01.
const CLOCK_MIN: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// How far the clock may be behind the newest file of ours.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);
/// Free disk below which the database soon can't grow.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Free disk below which somebody should make room.
const FREE_BYTES_LOW: u64 = 2 << 30;
/// How long before its end a certificate is told of.
const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);

/// Everything, in the order of a start.
pub(super) fn all(config: &Config, now: Timestamp) -> Vec<Finding> {
    let StoreUrl::Sqlite(database) = config.store_url();
    let store = store(config, &database);
    let is_running = matches!(store, Store::InUse);
    let mut findings = vec![
        data_dir(&config.data_dir),
        master_key(config),
        jwt_secret(config),
        public_key(config),
        clock(&database, now),
        free_disk(&database),
        store.into_finding(&database),
        tls(config, now),
    ];
    findings.extend(egress(config, now));
    findings.extend([
        descriptors(config),
        address("server.listen", config.server.listen, is_running),
        address(
            "server.admin_listen",
            config.server.admin_listen,
            is_running,
        ),
    ]);
    findings
}

/// An error with its causes.
fn whole(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

fn data_dir(path: &Path) -> Finding {
    let name = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::Ok(format!(
                "data directory {name}: will be made at the first start"
            ));
        }
        Err(error) => return Finding::Fail(format!("data directory {name}: {error}")),
    };
    if !metadata.is_dir() {
        return Finding::Fail(format!(
            "data directory {name}: is a file; name another place"
        ));
    }
    if let Err(error) = tempfile::tempfile_in(path) {
        return Finding::Fail(format!(
            "data directory {name}: can't be written: {error}; give it to the user of the server"
        ));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Finding::Ok(format!("data directory {name}: can be written"))
    } else {
        Finding::Warn(format!(
            "data directory {name}: has mode {mode:03o}, so that others can look into it; run \
             chmod 700 {name}"
        ))
    }
}

fn master_key(config: &Config) -> Finding {
    let path = config.master_key_file();
    let StoreUrl::Sqlite(database) = config.store_url();
    if !path.exists() && !database.exists() {
        let name = path.display();
        return Finding::Ok(format!(
            "master key {name}: will be made at the first start"
        ));
    }
    match keys::master_key(config) {
        Ok(_) => Finding::Ok(format!(
            "master key {}: can be used; keep a copy apart from the database's",
            path.display()
        )),
        Err(error) => Finding::Fail(format!("master key {}", whole(error))),
    }
}

fn jwt_secret(config: &Config) -> Finding {
    let path = config.jwt_secret_file();
    if config.auth.jwt_secret.is_none() && !path.exists() {
        let name = path.display();
        return Finding::Ok(format!(
            "token secret {name}: will be made at the first start"
        ));
    }
    match keys::jwt_secret(config) {
        Ok(secret) => match keys::jwt_secret_weakness(&secret) {
            Some(weakness) => Finding::Warn(format!("token secret: {weakness}")),
            None => Finding::Ok("token secret: can be used".to_owned()),
        },
        Err(error) => Finding::Fail(format!("token secret {}", whole(error))),
    }
}

fn public_key(config: &Config) -> Finding {
    match serve::check_public_key(config) {
        Ok(()) if config.auth.jwt_public_key.is_none() => {
            Finding::Ok("token public key: none is configured".to_owned())
        }
        Ok(()) => Finding::Ok("token public key: can be used".to_owned()),
        Err(error) => Finding::Fail(error.to_string()),
    }
}

fn clock(database: &Path, now: Timestamp) -> Finding {
    if now < CLOCK_MIN {
        return Finding::Fail(format!(
            "clock: shows {now}, which has passed; set it, and keep it right with NTP"
        ));
    }
    let written = fs::metadata(database).and_then(|metadata| metadata.modified());
    let behind = written.map(|written| since_epoch(written).since(now.plus(CLOCK_BEHIND_MAX)));
    match behind {
        Ok(behind) if !behind.is_zero() => Finding::Fail(format!(
            "clock: shows {now}, but the database was written later; set it, and keep it right \
             with NTP"
        )),
        _ => Finding::Ok(format!("clock: shows {now}")),
    }
}

fn since_epoch(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0).plus(since)
}

fn free_disk(database: &Path) -> Finding {
    let Some(folder) = database.ancestors().skip(1).find(|folder| folder.exists()) else {
        return free_disk_of(Path::new("."));
    };
    free_disk_of(folder)
}

fn free_disk_of(folder: &Path) -> Finding {
    let name = folder.display();
    match rustix::fs::statvfs(folder) {
        Err(error) => Finding::Warn(format!("free disk at {name}: can't be told: {error}")),
        Ok(disk) => {
            let bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
            let text = format!("free disk at {name}: {} MiB", bytes >> 20);
            if bytes < FREE_BYTES_MIN {
                Finding::Fail(format!("{text}; make room, or move the data directory"))
            } else if bytes < FREE_BYTES_LOW {
                Finding::Warn(format!("{text}; make room, or shorten retention.history"))
            } else {
                Finding::Ok(text)
            }
        }
    }
}

/// How the database is.
enum Store {
    Missing,
    InUse,
    UpToDate(u32),
    Old { current: u32, wanted: u32 },
    Broken(String),
}

/// Opens the database only where that changes nothing: its schema is up to date.
fn store(config: &Config, path: &Path) -> Store {
    if !path.exists() {
        return Store::Missing;
    }
    let schema = match SqliteStore::check(path) {
        Ok(schema) => schema,
        Err(error) => return Store::Broken(whole(error)),
    };
    if schema.current != schema.wanted {
        return Store::Old {
            current: schema.current,
            wanted: schema.wanted,
        };
    }
    let Ok(key) = keys::master_key(config) else {
        return Store::UpToDate(schema.current);
    };
    match SqliteStore::open(SqliteOptions::new(PathBuf::from(path)), key) {
        Ok(_) => Store::UpToDate(schema.current),
        Err(OpenError::InUse) => Store::InUse,
        Err(error) => Store::Broken(whole(error)),
    }
}

impl Store {
    fn into_finding(self, path: &Path) -> Finding {
        let name = path.display();
        match self {
            Self::Missing => Finding::Ok(format!("database {name}: will be made")),
            Self::InUse => Finding::Ok(format!("database {name}: a running server uses it")),
            Self::UpToDate(schema) => Finding::Ok(format!("database {name}: schema {schema}")),
            Self::Old { current, wanted } => Finding::Warn(format!(
                "database {name}: schema {current} will become {wanted} at the next start; make a \
                 copy first"
            )),
            Self::Broken(why) => Finding::Fail(format!("database {name}: {why}")),
        }
    }
}

fn tls(config: &Config, now: Timestamp) -> Finding {
    let Some(files) = serve::certificate_files(config) else {
        return Finding::Ok("TLS of the API: off".to_owned());
    };
    match files.check() {
        Err(error) => Finding::Fail(error.to_string()),
        Ok(ends_at) if ends_at <= now => Finding::Fail(format!(
            "TLS of the API: the certificate ended at {ends_at}; put a new one in its place"
        )),
        Ok(ends_at) if ends_at <= now.plus(CERTIFICATE_ENDS_SOON) => Finding::Warn(format!(
            "TLS of the API: the certificate ends at {ends_at}; put a new one in its place"
        )),
        Ok(ends_at) => match keys::check_mode(&files.key) {
            Ok(()) => Finding::Ok(format!(
                "TLS of the API: certificate and key match, until {ends_at}"
            )),
            Err(error) => Finding::Warn(format!("TLS of the API: {}", whole(error))),
        },
    }
}

/// One for each client identity that can't be used, or one for everything.
fn egress(config: &Config, now: Timestamp) -> Vec<Finding> {
    let identities = match serve::check_egress(config) {
        Ok(egress) => egress.operator_identities(),
        Err(error) => return vec![Finding::Fail(error.to_string())],
    };
    let unusable = identities.iter().filter_map(|identity| {
        let (name, why) = (&identity.name, identity.last_error.as_ref()?);
        Some(Finding::Fail(format!(
            "TLS to receivers: client identity {name} can't be used, and nothing is sent to \
             endpoints that are to be shown it: {why}"
        )))
    });
    let unusable: Vec<_> = unusable.collect();
    if unusable.is_empty() {
        vec![usable_egress(config, &identities, now)]
    } else {
        unusable
    }
}

fn usable_egress(
    config: &Config,
    identities: &[OperatorIdentityStatus],
    now: Timestamp,
) -> Finding {
    let mut exposed = config.egress.secret_files().map(keys::check_mode);
    if let Some(error) = exposed.find_map(Result::err) {
        return Finding::Warn(format!("TLS to receivers: {}", whole(error)));
    }
    let ends = identities.iter().filter_map(|identity| {
        let ends_at = identity.certificates.first()?.not_after;
        Some((ends_at, identity.name.as_str()))
    });
    match ends.min() {
        None => Finding::Ok("TLS to receivers: roots can be used".to_owned()),
        Some((ends_at, name)) if ends_at <= now.plus(CERTIFICATE_ENDS_SOON) => {
            Finding::Warn(format!(
                "TLS to receivers: the certificate of client identity {name} ends at {ends_at}; \
                 put a new one in its place"
            ))
        }
        Some((ends_at, _)) => Finding::Ok(format!(
            "TLS to receivers: roots and client identities can be used, until {ends_at}"
        )),
    }
}

fn descriptors(config: &Config) -> Finding {
    let wanted = config
        .server
        .connections_max
        .saturating_add(config.delivery.max_in_flight)
        .saturating_add(config.egress.idle_max);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < wanted => Finding::Warn(format!(
            "open files: the limit is {limit}, but the configuration allows {wanted} sockets; \
             raise it (ulimit -n, LimitNOFILE) or lower server.connections_max, \
             delivery.max_in_flight or egress.idle_max"
        )),
        Some(limit) => Finding::Ok(format!("open files: the limit is {limit}")),
        None => Finding::Ok("open files: no limit".to_owned()),
    }
}

fn address(key: &str, address: SocketAddr, is_running: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::Ok(format!("{key} {address}: is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            Finding::Ok(format!("{key} {address}: a running server uses it"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::Fail(format!(
            "{key} {address}: is in use by another program; end it or set another {key}"
        )),
        Err(error) => Finding::Fail(format!("{key} {address}: can't be had: {error}")),
    }
}
