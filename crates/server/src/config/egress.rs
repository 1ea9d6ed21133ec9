//! Settings of the way out to receivers.

use std::path::PathBuf;
use std::time::Duration;

use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_egress::{EgressConfig, PublicRoots, Resolver, TlsMinVersion};
use ipnet::IpNet;

use crate::config::error::ConfigError;
use crate::config::file;
use crate::config::section::section;

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
        tls_min_version: TlsMinVersion = "1.3";
        /// How long connecting may take, over all addresses of a receiver, within
        /// `delivery.timeout`.
        connect_timeout: Duration = "5s", from "100ms" to "60s";
        /// How long a connection may lie unused before it is closed.
        idle_timeout: Duration = "60s", from "1s" to "1h";
        /// Most unused connections that are kept for one endpoint.
        idle_per_endpoint_max: usize = "32", from "0" to "10000";
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
    }

    /// Which addresses deliveries may go to.
    pub fn address_policy(&self) -> AddressPolicy {
        AddressPolicy {
            allow_networks: self.allow_networks.clone(),
            plain_http: self.plain_http,
        }
    }

    /// For the egress; reads the file of extra roots.
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
        })
    }
}
