//! Endpoints that have few pins: enforcing those may stop their deliveries. Must never miss one that
//! says nothing of transport security.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use hookseal_domain::id::{AppId, OrgId};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::Pinning;

use crate::error::StoreError;
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::all;
use crate::sqlite::endpoint_transports;
use crate::transport::FewPins;

const APPLICATIONS: &str =
    "SELECT id, endpoints FROM application WHERE org = ?1 AND deleted_at IS NULL";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [APPLICATIONS];

/// What an organisation's endpoints that have fewer pins than this say of pinning.
pub(super) async fn of_organisation(
    store: &SqliteStore,
    org: OrgId,
    than: usize,
) -> Result<Vec<FewPins>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let count = move |connection: &Connection| {
        // One read transaction, so that no endpoint is counted twice or left out.
        let tx = connection.unchecked_transaction()?;
        let mut counts = HashMap::<(Option<Name>, Option<Pinning>), u64>::new();
        let applications = all(&tx, APPLICATIONS, [org.as_bytes()], |row| {
            let endpoints = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            Ok((AppId::from_raw(row.get(0)?), endpoints))
        })?;
        for (app, endpoints) in applications {
            if endpoints == 0 {
                continue;
            }
            let keys = keyring.of_rows(&tx, app)?;
            let mut silent = endpoints;
            for says in endpoint_transports::list(&tx, &keys, app, None)?.into_values() {
                silent = silent.saturating_sub(1);
                if says.pins.pins().len() < than {
                    *counts.entry((says.policy, says.own.pinning)).or_default() += 1;
                }
            }
            if silent > 0 && than > 0 {
                *counts.entry((None, None)).or_default() += silent;
            }
        }
        let few = counts
            .into_iter()
            .map(|((policy, pinning), endpoints)| FewPins {
                policy,
                pinning,
                endpoints,
            });
        Ok(few.collect())
    };
    store.readers.ask(count).await
}
