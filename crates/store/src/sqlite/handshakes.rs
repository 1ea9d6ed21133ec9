//! What was seen of endpoints' receivers. Must never bring back anything of an endpoint that was
//! deleted, nor put an older handshake in the place of a newer one, nor keep any out until a time
//! that a wrong clock told.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::{HandshakeReport, PresentDecision, Presented};
use hookseal_pki::certificate::SpkiSha256;

use crate::error::StoreError;
use crate::seal::{Place, Sealed, handshake};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::rows::{Typed, endpoint_range};
use crate::sqlite::{endpoint_pins, endpoints};
use crate::transport::{EndpointHandshakes, SeenHandshake};

/// Handshakes of one transaction: a few milliseconds, so that no publish waits for long.
const TOGETHER: usize = 50;

const ONE: &str = "SELECT good_key_version, good, failed_key_version, failed \
    FROM endpoint_handshake WHERE slice = ?1 AND app = ?2 AND ep >= ?3 AND ep <= ?4";
// Below, 600000 is how late a report may come, in milliseconds: ten minutes, far more than the second
// for which they are gathered. What is known from later than that was taken down with a clock that
// was ahead, and must not keep everything else out until then.

/// Parameter 9 says whether what is known of our own certificate is replaced.
const PUT_GOOD: &str = "INSERT INTO endpoint_handshake \
    (slice, app, ep, org, anchor, good_at, good_key_version, good, \
    identity, identity_number, identity_sha256, identity_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?10, ?11, ?12, iif(?10 IS NULL, NULL, ?6)) \
    ON CONFLICT (slice, app, ep) DO UPDATE SET \
    anchor = ?5, good_at = ?6, good_key_version = ?7, good = ?8, \
    identity = iif(?9, ?10, identity), \
    identity_number = iif(?9, ?11, identity_number), \
    identity_sha256 = iif(?9, ?12, identity_sha256), \
    identity_at = iif(?9, excluded.identity_at, identity_at), \
    failed_at = iif(failed_at BETWEEN ?6 + 1 AND ?6 + 600000, failed_at, NULL), \
    failed_key_version = iif(failed_at BETWEEN ?6 + 1 AND ?6 + 600000, failed_key_version, NULL), \
    failed = iif(failed_at BETWEEN ?6 + 1 AND ?6 + 600000, failed, NULL) \
    WHERE ifnull(good_at, ?6) NOT BETWEEN ?6 + 1 AND ?6 + 600000";
const PUT_FAILED: &str = "INSERT INTO endpoint_handshake \
    (slice, app, ep, org, failed_at, failed_key_version, failed) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (slice, app, ep) DO UPDATE SET \
    failed_at = ?5, failed_key_version = ?6, failed = ?7 \
    WHERE ifnull(good_at, ?5) NOT BETWEEN ?5 + 1 AND ?5 + 600000 \
    AND ifnull(failed_at, ?5) NOT BETWEEN ?5 + 1 AND ?5 + 600000";
/// The first time counts, but not that of another certificate which had this number.
const PUT_SEEN: &str = "INSERT INTO identity_seen (org, identity, number, sha256, at) \
    SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS \
    (SELECT 1 FROM transport_item WHERE org = ?1 AND kind = 3 AND name = ?2) \
    ON CONFLICT (org, identity, number) DO UPDATE SET sha256 = ?4, at = ?5 WHERE sha256 <> ?4";
const FORGET: &str =
    "DELETE FROM endpoint_handshake WHERE slice = ?1 AND app = ?2 AND ep >= ?3 AND ep <= ?4";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [ONE, PUT_SEEN, FORGET];

/// A handshake on its way to the disk.
struct Taken {
    org: OrgId,
    app: AppId,
    endpoint: EndpointId,
    at: Timestamp,
    result: Seen,
    sealed: Sealed,
    /// The verified path, where the receiver has proved that its key is its own.
    path: Vec<SpkiSha256>,
}

enum Seen {
    Good {
        anchor: Option<SpkiSha256>,
        shown: Shown,
    },
    Failed,
}

/// What was shown of ours.
enum Shown {
    Accepted(Presented),
    /// The endpoint has no identity any more.
    NoIdentity,
    /// The receiver did not ask this time, or asked for what we don't have, or has not said yet
    /// what it makes of what we presented.
    Nothing,
}

/// Keeps what was seen.
pub(super) async fn record(
    store: &SqliteStore,
    seen: Vec<SeenHandshake>,
) -> Result<(), StoreError> {
    let mut seen = seen.into_iter();
    loop {
        let mut taken = Vec::with_capacity(TOGETHER);
        for one in seen.by_ref().take(TOGETHER) {
            taken.push(take(store, one).await?);
        }
        if taken.is_empty() {
            return Ok(());
        }
        let taken: Vec<_> = taken.into_iter().flatten().collect();
        let bytes = taken.iter().map(|one| one.sealed.bytes.len()).sum();
        let put = move |batch: &mut Batch<'_>| {
            for one in &taken {
                one.put(batch)?;
            }
            Ok(Ok(()))
        };
        store
            .writer
            .change_of_bytes::<_, _, StoreError>(bytes, put)
            .await?;
    }
}

/// Seals a handshake; `None` if its application is gone or can't seal, which the others must not
/// suffer from.
async fn take(store: &SqliteStore, seen: SeenHandshake) -> Result<Option<Taken>, StoreError> {
    let keys = match store.keys(seen.app).await {
        Ok(Some(keys)) => keys,
        Ok(None) => return Ok(None),
        Err(error @ (StoreError::Unsealable { .. } | StoreError::CorruptRow { .. })) => {
            log_lost(seen.endpoint, &error);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let report = seen.report;
    let endpoint = seen.endpoint.raw();
    let place = match report.failure {
        None => Place::GoodHandshake { endpoint },
        Some(_) => Place::FailedHandshake { endpoint },
    };
    let sealed = keys.seal(place, &handshake::encode(&report))?;
    let proved = report.failure.is_none() || report.tls.is_some();
    let path = if proved {
        report.verified_keys()
    } else {
        Vec::new()
    };
    Ok(Some(Taken {
        org: seen.org,
        app: seen.app,
        endpoint: seen.endpoint,
        at: report.at,
        result: Seen::of(report),
        sealed,
        path,
    }))
}

/// What was seen of an endpoint last.
pub(super) async fn one(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
) -> Result<EndpointHandshakes, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let find = move |connection: &Connection| {
        let Some(keys) = keyring.load(connection, app)? else {
            return Ok(EndpointHandshakes::default());
        };
        let which = endpoint_range(app, Some(endpoint));
        let found = all(connection, ONE, which, |row| read(row, &keys, endpoint))?.pop();
        Ok(found.unwrap_or_default())
    };
    store.readers.ask(find).await
}

/// Forgets what was seen of one endpoint or of all of an application.
pub(super) fn forget(
    batch: &Batch<'_>,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> rusqlite::Result<usize> {
    batch.execute(FORGET, endpoint_range(app, endpoint))
}

fn read(
    row: &Row<'_>,
    keys: &DataKeys,
    endpoint: EndpointId,
) -> Result<EndpointHandshakes, Failure> {
    let row = Typed {
        row,
        table: "endpoint_handshake",
        id: endpoint,
    };
    let open = |place, key_version, column| -> Result<Option<HandshakeReport>, Failure> {
        let Some(sealed) = row.plain::<Option<Vec<u8>>>(column)? else {
            return Ok(None);
        };
        let plain = keys.open(place, row.plain(key_version)?, &sealed)?;
        let report = handshake::decode(&plain).ok_or_else(|| row.corrupt(column))?;
        Ok(Some(report))
    };
    let endpoint = endpoint.raw();
    let good = Place::GoodHandshake { endpoint };
    let failed = Place::FailedHandshake { endpoint };
    let last_good = open(good, "good_key_version", "good")?;
    let last_failed = open(failed, "failed_key_version", "failed")?;
    Ok(EndpointHandshakes {
        last: last_failed.or_else(|| last_good.clone()),
        last_good,
    })
}

fn log_lost(endpoint: EndpointId, error: &StoreError) {
    tracing::error!(
        endpoint.id = %endpoint,
        error = %error,
        "Could not keep what was seen of a handshake with endpoint {endpoint}: {error}"
    );
}

// === impl Taken ===

impl Taken {
    /// Takes it down, unless its endpoint is gone or nothing can be made of its pins.
    fn put(&self, batch: &Batch<'_>) -> Result<(), Failure> {
        let org = endpoints::organisation(batch.connection, self.app, self.endpoint)?;
        if org != Some(self.org) {
            return Ok(());
        }
        match endpoint_pins::observe(batch, self.app, self.endpoint, &self.path, self.at) {
            Err(Failure::Store(error)) => log_lost(self.endpoint, &error),
            other => other?,
        }
        match &self.result {
            Seen::Good { anchor, shown } => self.put_good(batch, *anchor, shown),
            Seen::Failed => self.put_failed(batch),
        }
    }

    fn put_good(
        &self,
        batch: &Batch<'_>,
        anchor: Option<SpkiSha256>,
        shown: &Shown,
    ) -> Result<(), Failure> {
        let (replaces, accepted) = match shown {
            Shown::Accepted(presented) => (true, Some(presented)),
            Shown::NoIdentity => (true, None),
            Shown::Nothing => (false, None),
        };
        let [slice, app, endpoint] = self.key();
        let row = params![
            slice,
            app,
            endpoint,
            self.org.as_bytes(),
            anchor.as_ref().map(SpkiSha256::as_bytes),
            self.at.as_millis(),
            self.sealed.key_version,
            self.sealed.bytes,
            replaces,
            accepted.map(|ours| ours.identity.as_str()),
            accepted.map(|ours| ours.number),
            accepted.map(|ours| ours.sha256),
        ];
        batch.execute(PUT_GOOD, row)?;
        match accepted {
            Some(ours) if ours.number > 0 => self.put_seen(batch, ours),
            _ => Ok(()),
        }
    }

    fn put_seen(&self, batch: &Batch<'_>, ours: &Presented) -> Result<(), Failure> {
        let row = params![
            self.org.as_bytes(),
            ours.identity.as_str(),
            ours.number,
            ours.sha256,
            self.at.as_millis(),
        ];
        batch.execute(PUT_SEEN, row)?;
        Ok(())
    }

    fn put_failed(&self, batch: &Batch<'_>) -> Result<(), Failure> {
        let [slice, app, endpoint] = self.key();
        let row = params![
            slice,
            app,
            endpoint,
            self.org.as_bytes(),
            self.at.as_millis(),
            self.sealed.key_version,
            self.sealed.bytes,
        ];
        batch.execute(PUT_FAILED, row)?;
        Ok(())
    }

    fn key(&self) -> [i64; 3] {
        let slice = Slice::of(self.app).as_i64();
        [slice, self.app.raw(), self.endpoint.raw()]
    }
}

// === impl Seen ===

impl Seen {
    fn of(report: HandshakeReport) -> Self {
        if report.failure.is_some() {
            return Self::Failed;
        }
        let client = report.client;
        Self::Good {
            anchor: report.verified.last().map(|root| root.spki_sha256),
            shown: match (client.presented, client.decision) {
                (Some(presented), _) if client.accepted => Shown::Accepted(presented),
                (None, PresentDecision::NoIdentity) => Shown::NoIdentity,
                _ => Shown::Nothing,
            },
        }
    }
}
