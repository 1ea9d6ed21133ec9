//! All that publishing and delivering to an application needs, read as of one moment.

use std::sync::Arc;

use rusqlite::Connection;

use hookseal_domain::endpoint::Destination;
use hookseal_domain::endpoint::verification::Standing;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::limits::ENDPOINTS_PER_APPLICATION_MAX;
use hookseal_domain::transport::policy::EndpointTransport;

use crate::config::Routing;
use crate::error::StoreError;
use crate::page::{Order, PageRequest, PageStart};
use crate::reference::AppRef;
use crate::sqlite::SqliteStore;
use crate::sqlite::endpoints::{self, EndpointRow};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::{DataKeys, Keyring};
use crate::sqlite::{
    applications, endpoint_headers, endpoint_transports, portal_tokens, signing_keys,
};

/// Of an application as a request names it.
pub(super) async fn by_reference(
    store: &SqliteStore,
    org: OrgId,
    app: &AppRef,
) -> Result<Option<Routing>, StoreError> {
    let app = app.clone();
    let keyring = Arc::clone(&store.keyring);
    let read = move |connection: &Connection| {
        // One read transaction, so that the version is that of the endpoints.
        let tx = connection.unchecked_transaction()?;
        let found = applications::find(&tx, org, &app)?;
        found.map(|found| read(&tx, &keyring, found)).transpose()
    };
    store.readers.ask(read).await
}

/// Of an application by its id.
pub(super) async fn by_id(store: &SqliteStore, app: AppId) -> Result<Option<Routing>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let read = move |connection: &Connection| {
        let tx = connection.unchecked_transaction()?;
        let found = applications::live(&tx, app)?;
        found.map(|found| read(&tx, &keyring, found)).transpose()
    };
    store.readers.ask(read).await
}

fn read(
    connection: &Connection,
    keyring: &Keyring,
    (application, version): (hookseal_domain::application::Application, i64),
) -> Result<Routing, Failure> {
    let app = application.id;
    let everything = PageRequest::<EndpointId> {
        limit: ENDPOINTS_PER_APPLICATION_MAX,
        from: PageStart::Beginning,
        order: Order::Ascending,
    };
    let rows = endpoints::read_page(connection, app, &everything)?;
    let keys = keyring.of_rows(connection, app)?;
    let mut transports = endpoint_transports::list(connection, &keys, app, None)?;
    let destinations: Result<_, Failure> = rows
        .into_iter()
        .map(|row| {
            let transport = transports.remove(&row.endpoint.id).unwrap_or_default();
            destination(connection, &keys, app, row, transport).map(Arc::new)
        })
        .collect();
    Ok(Routing {
        application,
        version,
        destinations: destinations?,
        token_cutoffs: portal_tokens::cutoffs(connection, app)?,
    })
}

fn destination(
    connection: &Connection,
    keys: &DataKeys,
    app: AppId,
    row: EndpointRow,
    transport: EndpointTransport,
) -> Result<Destination, Failure> {
    let headers = endpoint_headers::open(&row, keys)?;
    let endpoint = row.endpoint;
    let signing_keys = signing_keys::list(connection, keys, app, endpoint.id)?;
    Ok(Destination {
        id: endpoint.id,
        url: endpoint.spec.url,
        disabled: endpoint.spec.disabled
            || endpoint.switched_off.is_some()
            || endpoint.verification.standing == Standing::Withheld,
        standing: endpoint.verification.standing,
        subscription: endpoint.spec.subscription,
        park_on: endpoint.spec.park_on,
        throttle_rate: endpoint.spec.throttle_rate,
        grant: endpoint.verification.grant,
        discipline: endpoint.spec.discipline,
        headers,
        signing_keys: signing_keys.into_iter().map(Arc::new).collect(),
        transport,
        generation: row.generation,
    })
}
