//! Settings of the way out to receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_domain::secret::Secret;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::TlsVersion;
use hookseal_egress::{
    EgressConfig, OperatorIdentity, OperatorKey, Proxy, PublicRoots, Resolver, TokenConfig,
};
use ipnet::IpNet;

use crate::config::error::ConfigError;
use crate::config::file;
use crate::config::proxy_credentials;
use crate::config::section::section;
use crate::config::value::{NamedProxy, TokenLabel};

section! {
    /// Where deliveries may go, and whom they trust.
    pub struct EgressSection in "egress" {
        /// Networks that deliveries may go to although they are not public: private, loopback,
        /// link-local and the like are refused otherwise.
        allow_networks: Vec<IpNet> = "", such as "10.20.0.0/16";
        /// Whether endpoints may be plain `http://`: `never`, only where every address lies in
        /// `allow_networks` (`allowed_networks`), or `always`.
        plain_http: PlainHttp = "allowed_networks";
        /// PEM file with CA certificates to trust beside the public ones. Absent: none.
        extra_roots: Option<PathBuf>, such as "tls/company-roots.pem";
        /// The public CA certificates to trust: Mozilla's list, which is built in, or none.
        public_roots: PublicRoots = "mozilla";
        /// The lowest version of TLS that is spoken to receivers.
        tls_min_version: TlsVersion = "1.3";
        /// Client certificates that transport policies may choose by name, in every organisation:
        /// `NAME=CERTIFICATE,KEY`. CERTIFICATE is a PEM file with our certificate and its
        /// intermediate ones, KEY a PEM file or `pkcs11:LABEL`, a key in the PKCS#11 token. The
        /// files are followed: what is put in their place is used within seconds if both halves fit
        /// together, and the old certificate is presented on to those that refuse the new one. One
        /// that can't be used, at a start or later, is warned of in the log and holds up nothing
        /// but the endpoints that are to be shown it; it is used once it is mended.
        identities: Vec<OperatorIdentity> = "", such as "company=tls/client.pem,tls/client.key";
        /// The PKCS#11 module with keys of `identities`: a library that is loaded into the server.
        /// Absent: none.
        pkcs11_module: Option<PathBuf>, such as "/usr/lib/softhsm/libsofthsm2.so";
        /// The label of the token that the module is to use.
        pkcs11_token: Option<TokenLabel>, such as "hookseal";
        /// File with the PIN of that token, and nothing else. It is read at the start. A PIN that
        /// was refused is not tried again before the next start, so that the token does not lock
        /// itself.
        pkcs11_pin_file: Option<PathBuf>, such as "tls/pkcs11.pin";
        /// Proxies that transport policies may choose by name: `NAME=http://HOST:PORT` (CONNECT) or
        /// `NAME=socks5://HOST:PORT`. They are asked for addresses that were checked here, never for
        /// names; their own addresses are not checked against `allow_networks`.
        proxies: Vec<NamedProxy> = "", such as "dmz=http://proxy.example.com:3128";
        /// The proxy of `proxies` for everything whose transport policy does not choose. Absent:
        /// receivers are connected to directly.
        proxy: Option<Name>, such as "dmz";
        /// File with what the proxies know us by, one in a line: `NAME USER:PASSWORD`. Absent: they
        /// want nothing.
        proxy_credentials: Option<PathBuf>, such as "tls/proxy-credentials";
        /// How long connecting may take, over all addresses of a receiver, within
        /// `delivery.timeout`.
        connect_timeout: Duration = "5s", from "100ms" to "60s";
        /// How long a connection may lie unused before it is closed.
        idle_timeout: Duration = "60s", from "1s" to "1h";
        /// Most unused connections that are kept for one endpoint. Fewer than
        /// `delivery.max_in_flight_per_endpoint` means new handshakes whenever a burst pauses.
        idle_per_endpoint_max: usize = "64", from "0" to "10000";
        /// Most unused connections that are kept in all; each holds a socket.
        idle_max: usize = "4096", from "0" to "1000000";
    }
}

// === impl EgressSection ===

impl EgressSection {
    pub(super) fn check(&self, errors: &mut Vec<ConfigError>) {
        for network in &self.allow_networks {
            let meant = network.trunc();
            if meant != *network {
                let alone = IpNet::from(network.addr());
                let problem = format!(
                    "{network} names an address inside of a network; write {meant} for the whole \
                     network, or {alone} for that address alone"
                );
                errors.push(ConfigError::unusable("egress.allow_networks", problem));
            }
        }
        let identities = self.identities.iter().map(|identity| &identity.name);
        check_names("egress.identities", identities, errors);
        let proxies = self.proxies.iter().map(|proxy| &proxy.name);
        check_names("egress.proxies", proxies, errors);
        self.check_token(errors);
    }

    fn check_token(&self, errors: &mut Vec<ConfigError>) {
        let given = [
            ("egress.pkcs11_module", self.pkcs11_module.is_some()),
            ("egress.pkcs11_token", self.pkcs11_token.is_some()),
            ("egress.pkcs11_pin_file", self.pkcs11_pin_file.is_some()),
        ];
        if let Some((present, _)) = given.iter().find(|(_, is_given)| *is_given) {
            for (missing, _) in given.iter().filter(|(_, is_given)| !is_given) {
                let problem = format!("must be set as well, since {present} is");
                errors.push(ConfigError::unusable(missing, problem));
            }
        } else if let Some(identity) = self
            .identities
            .iter()
            .find(|identity| matches!(identity.key, OperatorKey::Token(_)))
        {
            let problem = format!(
                "must be set, since the key of {} in egress.identities is in a token",
                identity.name
            );
            errors.push(ConfigError::unusable("egress.pkcs11_module", problem));
        }
    }

    /// Which addresses deliveries may go to.
    pub fn address_policy(&self) -> AddressPolicy {
        AddressPolicy {
            allow_networks: self.allow_networks.clone(),
            plain_http: self.plain_http,
        }
    }

    /// For the egress; reads the files of extra roots, of the PIN and of credentials.
    pub fn egress(&self) -> Result<EgressConfig, ConfigError> {
        let extra_roots_pem = match &self.extra_roots {
            Some(path) => Some(file::read("egress.extra_roots", path)?),
            None => None,
        };
        Ok(EgressConfig {
            address_policy: self.address_policy(),
            extra_roots_pem,
            public_roots: self.public_roots,
            tls_min_version: self.tls_min_version,
            idle_timeout: self.idle_timeout,
            idle_per_endpoint_max: self.idle_per_endpoint_max,
            idle_max: self.idle_max,
            connect_timeout: self.connect_timeout,
            resolver: Resolver::System,
            proxies: self.proxies()?,
            proxy: self.proxy.clone(),
            identities: self.identities.clone(),
            token: self.token()?,
        })
    }

    /// The files with secrets that others should not be able to read.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let keys = self
            .identities
            .iter()
            .filter_map(|identity| match &identity.key {
                OperatorKey::File(path) => Some(path.as_path()),
                OperatorKey::Token(_) => None,
            });
        let others = [&self.pkcs11_pin_file, &self.proxy_credentials];
        keys.chain(others.into_iter().filter_map(|path| path.as_deref()))
    }

    fn proxies(&self) -> Result<Vec<Proxy>, ConfigError> {
        let mut credentials = match &self.proxy_credentials {
            Some(path) => proxy_credentials::read(path, &self.proxies)?,
            None => BTreeMap::new(),
        };
        let proxies = self.proxies.iter().map(|proxy| Proxy {
            name: proxy.name.clone(),
            address: proxy.address.clone(),
            credentials: credentials.remove(&proxy.name),
        });
        Ok(proxies.collect())
    }

    fn token(&self) -> Result<Option<TokenConfig>, ConfigError> {
        let (Some(module), Some(TokenLabel(label)), Some(pin_file)) = (
            &self.pkcs11_module,
            &self.pkcs11_token,
            &self.pkcs11_pin_file,
        ) else {
            return Ok(None);
        };
        Ok(Some(TokenConfig {
            module: module.clone(),
            label: label.clone(),
            pin: pin("egress.pkcs11_pin_file", pin_file)?,
        }))
    }
}

/// Names of the operator's must be different, and ones that policies can say.
fn check_names<'a>(
    key: &'static str,
    names: impl Iterator<Item = &'a Name>,
    errors: &mut Vec<ConfigError>,
) {
    let mut known = BTreeSet::new();
    for name in names {
        let problem = if name.as_str() == "none" {
            "none can't be a name: it is what policies say for nothing".to_owned()
        } else if name.as_str().starts_with("ep_") {
            format!("{name} can't be a name: ep_ is how the names begin that endpoints give")
        } else if !known.insert(name) {
            format!("{name} is there twice")
        } else {
            continue;
        };
        errors.push(ConfigError::unusable(key, problem));
    }
}

/// The first line of a file, which must be its only one.
fn pin(key: &'static str, path: &Path) -> Result<Secret<String>, ConfigError> {
    let content = file::read_secret(key, path)?;
    let pin = content.expose().trim_end_matches(['\r', '\n']);
    if pin.is_empty() || pin.contains(['\r', '\n']) {
        let problem = format!("{}: must have one line, with the PIN", path.display());
        return Err(ConfigError::unusable(key, problem));
    }
    Ok(Secret::new(pin.to_owned()))
}
