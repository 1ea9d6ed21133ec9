//! Turns a host name into addresses. What comes out is not screened yet: nothing here connects.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_resolver::config::{LookupIpStrategy, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{ADDRESSES_MAX, DNS_CACHE_ENTRIES_MAX, RESOLVER_AGE_MAX};

/// Who turns names into addresses.
#[derive(Clone, Debug, Default)]
pub enum Resolver {
    /// The system's hosts file and name servers.
    #[default]
    System,
    /// Something else, for tests.
    Told(Told),
}

/// Tells the addresses of a name, `None` if it does not exist.
#[derive(Clone)]
pub struct Told(Arc<Tell>);

type Tell = dyn Fn(&str) -> Option<Vec<IpAddr>> + Send + Sync;

/// A name has no addresses that we know of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("the name {0:?} does not exist")]
    NoSuchName(String),
    #[error("the name {0:?} has no address")]
    NoAddress(String),
    #[error("the name {0:?} could not be resolved")]
    Failed(String, #[source] NetError),
    #[error(
        "the name {0:?} is not in the hosts file, and the system's DNS configuration can't be used"
    )]
    NotConfigured(String, #[source] NetError),
}

/// Resolves names as configured.
pub(crate) struct Names {
    resolver: Resolver,
    system: Mutex<Option<System>>,
}

/// One reading of the system's configuration. Made at the first name and read anew now and then,
/// so that a machine without DNS can start, and a changed configuration is noticed.
#[derive(Clone)]
struct System {
    read_at: Instant,
    resolver: TokioResolver,
    /// Why there are no name servers.
    broken: Option<NetError>,
}

// === impl Resolver ===

impl Resolver {
    /// A resolver that knows these names only.
    pub fn fixed<'a>(table: impl IntoIterator<Item = (&'a str, Vec<IpAddr>)>) -> Self {
        let table = table.into_iter().map(|(name, ips)| (name.to_owned(), ips));
        let table: HashMap<String, Vec<IpAddr>> = table.collect();
        Self::telling(move |name| table.get(name).cloned())
    }

    /// A resolver that asks this.
    pub fn telling(tell: impl Fn(&str) -> Option<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self::Told(Told(Arc::new(tell)))
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

// === impl Names ===

impl Names {
    pub(crate) fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            system: Mutex::new(None),
        }
    }

    /// The first addresses of `name`, at least one.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let addresses = match &self.resolver {
            Resolver::Told(Told(tell)) => tell(name)
                .map(|ips| ips.into_iter().take(ADDRESSES_MAX).collect())
                .ok_or_else(|| ResolveError::NoSuchName(name.to_owned()))?,
            Resolver::System => self.resolve_by_system(name).await?,
        };
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress(name.to_owned()));
        }
        Ok(addresses)
    }

    async fn resolve_by_system(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        self.system(name)?.resolve(name).await
    }

    fn system(&self, name: &str) -> Result<System, ResolveError> {
        let mut system = self.system.lock();
        if let Some(system) = system.as_ref()
            && system.broken.is_none()
            && system.read_at.elapsed() < RESOLVER_AGE_MAX
        {
            return Ok(system.clone());
        }
        let read =
            System::read().map_err(|error| ResolveError::NotConfigured(name.to_owned(), error))?;
        Ok(system.insert(read).clone())
    }
}

fn explain(name: &str, error: NetError) -> ResolveError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if none.response_code == ResponseCode::NXDomain =>
        {
            ResolveError::NoSuchName(name.to_owned())
        }
        NetError::Dns(DnsError::NoRecordsFound(_)) => ResolveError::NoAddress(name.to_owned()),
        error => ResolveError::Failed(name.to_owned(), error),
    }
}

// === impl System ===

impl System {
    fn read() -> Result<Self, NetError> {
        let (builder, broken) = match TokioResolver::builder_tokio() {
            Ok(builder) => (builder, None),
            // The hosts file still works.
            Err(error) => (without_servers(), Some(error)),
        };
        Ok(Self {
            read_at: Instant::now(),
            resolver: tuned(builder).build()?,
            broken,
        })
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        // A name with a dot is whole. A search list would ask for names that nobody wrote, and let
        // whoever owns them receive the data; only a single label can't be meant otherwise.
        let query = match name.contains('.') && !name.ends_with('.') {
            true => format!("{name}."),
            false => name.to_owned(),
        };
        match self.resolver.lookup_ip(query).await {
            Ok(answer) => Ok(answer.iter().take(ADDRESSES_MAX).collect()),
            Err(error) => Err(match (&self.broken, error) {
                (Some(broken), _) => ResolveError::NotConfigured(name.to_owned(), broken.clone()),
                (None, error) => explain(name, error),
            }),
        }
    }
}

fn without_servers() -> ResolverBuilder<TokioRuntimeProvider> {
    let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

fn tuned(
    mut builder: ResolverBuilder<TokioRuntimeProvider>,
) -> ResolverBuilder<TokioRuntimeProvider> {
    let options: &mut ResolverOpts = builder.options_mut();
    // Every address of both families has to pass the address policy or be named as refused.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = DNS_CACHE_ENTRIES_MAX;
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine without DNS still knows its hosts file, and the reason is told for the rest.
    #[tokio::test]
    async fn without_name_servers() {
        let names = Names::new(Resolver::System);
        *names.system.lock() = Some(System {
            read_at: Instant::now(),
            resolver: tuned(without_servers()).build().unwrap(),
            broken: None,
        });
        assert!(!names.resolve("localhost").await.unwrap().is_empty());
        let error = names.resolve("hooks.example.com").await.unwrap_err();
        assert!(matches!(error, ResolveError::Failed(..)), "{error:?}");

        let system = names.system.lock().clone().unwrap();
        let broken = System {
            broken: Some(NetError::Message("unreadable")),
            ..system
        };
        let error = broken.resolve("hooks.example.com").await.unwrap_err();
        assert!(matches!(error, ResolveError::NotConfigured(..)));
        assert!(!broken.resolve("localhost").await.unwrap().is_empty());
    }
}
