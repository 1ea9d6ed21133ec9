//! The configuration files of the servers that have one.

use std::net::SocketAddr;

use rustix::process::geteuid;

use crate::real_server::{Addresses, Files, Software, path};

// === impl Software ===

impl Software {
    /// The content of its configuration file; empty if it has none.
    pub(super) fn config(self, files: &Files, addresses: Addresses, backend: SocketAddr) -> String {
        let versions = [(addresses.tls12, "TLSv1.2"), (addresses.tls13, "TLSv1.3")];
        match self {
            Self::Nginx => nginx(files, versions, backend),
            Self::Haproxy => haproxy(files, versions, backend),
            Self::Stunnel => stunnel(files, versions, backend),
            Self::Hitch => hitch(files, versions, backend),
            _ => String::new(),
        }
    }
}

type Versions = [(SocketAddr, &'static str); 2];

fn nginx(files: &Files, versions: Versions, backend: SocketAddr) -> String {
    let (chain, key, clients) = (path(&files.chain), path(&files.key), path(&files.clients));
    let servers = versions.map(|(address, version)| {
        format!(
            "server {{ listen {address} ssl; ssl_protocols {version}; \
             location / {{ proxy_pass http://{backend}; }} }}\n"
        )
    });
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("{what}_temp_path {what};\n"));
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\nclient_max_body_size 8m;\n{}\
         ssl_certificate {chain};\nssl_certificate_key {key};\n\
         ssl_client_certificate {clients};\nssl_verify_client on;\n{}}}\n",
        temporary.concat(),
        servers.concat(),
    )
}

fn haproxy(files: &Files, versions: Versions, backend: SocketAddr) -> String {
    let (both, clients) = (path(&files.both), path(&files.clients));
    let binds = versions.map(|(address, version)| {
        format!(
            "  bind {address} ssl crt {both} ca-file {clients} verify required \
             ssl-min-ver {version} ssl-max-ver {version}\n"
        )
    });
    format!(
        "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 10s\n  \
         timeout client 10s\n  timeout server 10s\nfrontend hooks\n{}  default_backend plain\n\
         backend plain\n  server plain {backend}\n",
        binds.concat(),
    )
}

fn stunnel(files: &Files, versions: Versions, backend: SocketAddr) -> String {
    let (chain, key, clients) = (path(&files.chain), path(&files.key), path(&files.clients));
    let services = versions.map(|(address, version)| {
        format!(
            "[{version}]\naccept = {address}\nconnect = {backend}\ncert = {chain}\nkey = {key}\n\
             CAfile = {clients}\nverifyChain = yes\nrequireCert = yes\n\
             sslVersionMin = {version}\nsslVersionMax = {version}\n"
        )
    });
    format!("foreground = yes\npid =\n{}", services.concat())
}

fn hitch(files: &Files, versions: Versions, backend: SocketAddr) -> String {
    let (both, clients) = (path(&files.both), path(&files.clients));
    // Without a certificate of its own, a frontend's versions are ignored.
    let frontends = versions.map(|(address, version)| {
        format!(
            "frontend = {{\n  host = \"{}\"\n  port = \"{}\"\n  pem-file = \"{both}\"\n  \
             tls-protos = {version}\n  client-verify = required\n  \
             client-verify-ca = \"{clients}\"\n}}\n",
            address.ip(),
            address.port(),
        )
    });
    // It refuses to run as root, and reads its files before it stops being root.
    let user = if geteuid().is_root() {
        "user = \"nobody\"\n"
    } else {
        ""
    };
    format!(
        "{user}{}backend = \"[{}]:{}\"\nworkers = 1\ndaemon = off\n",
        frontends.concat(),
        backend.ip(),
        backend.port(),
    )
}
