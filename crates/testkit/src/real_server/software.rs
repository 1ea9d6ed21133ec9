//! Which servers there are, and how each is called on the command line.

use std::io;
use std::process::Command;

use anyhow::Context;

use crate::real_server::{Files, path};

/// Where Debian puts Java.
const JAVA_FOLDER: &str = "/usr/lib/jvm";
/// Newer ones send other alerts.
const JAVA: &str = "java-17-openjdk";
/// Directories that hold servers but are not in everybody's PATH.
const SYSTEM_PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin";
const PYTHON: &str = "python3";

/// A server that others wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Software {
    /// nginx, as a reverse proxy.
    Nginx,
    /// HAProxy, as a reverse proxy.
    Haproxy,
    /// stunnel in front of a plain server.
    Stunnel,
    /// hitch in front of a plain server.
    Hitch,
    /// `openssl s_server`, in whose name we answer.
    OpensslServer,
    /// `gnutls-serv`, which can't answer a POST and sends back what it received.
    GnutlsServ,
    /// Python's standard library.
    Python,
    /// Node.js.
    Node,
    /// The `HttpsServer` of JDK 17.
    JavaHttpsServer,
    /// The `SSLServerSocket` of JDK 17.
    JavaSslServerSocket,
}

// === impl Software ===

impl Software {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Stunnel,
        Self::Hitch,
        Self::OpensslServer,
        Self::GnutlsServ,
        Self::Python,
        Self::Node,
        Self::JavaHttpsServer,
        Self::JavaSslServerSocket,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Stunnel => "stunnel",
            Self::Hitch => "hitch",
            Self::OpensslServer => "openssl s_server",
            Self::GnutlsServ => "gnutls-serv",
            Self::Python => "Python `ssl`",
            Self::Node => "Node.js `https`",
            Self::JavaHttpsServer => "Java 17 `HttpsServer`",
            Self::JavaSslServerSocket => "Java 17 `SSLServerSocket`",
        }
    }

    /// What it says about its version; `None` if this machine does not have it.
    pub fn version(self) -> anyhow::Result<Option<String>> {
        let java = java();
        let (binary, argument) = match self {
            Self::Nginx => ("nginx", "-v"),
            Self::Haproxy => ("haproxy", "-v"),
            Self::Stunnel => ("stunnel4", "-version"),
            Self::Hitch => ("hitch", "--version"),
            Self::OpensslServer => ("openssl", "version"),
            Self::GnutlsServ => ("gnutls-serv", "--version"),
            Self::Python => (PYTHON, "--version"),
            Self::Node => ("node", "--version"),
            Self::JavaHttpsServer | Self::JavaSslServerSocket => (java.as_str(), "-version"),
        };
        let output = match program(binary).arg(argument).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(binary.to_owned()),
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // stunnel has more to say first.
        let line = said
            .lines()
            .find(|line| line.contains(|c: char| c.is_ascii_digit()));
        Ok(line.map(str::to_owned))
    }

    /// How to start it in the foreground; its configuration or script is written too.
    pub(super) fn command(self, files: &Files) -> anyhow::Result<Command> {
        let config = path(&files.folder.join("config"));
        let own = [&files.chain, &files.key, &files.clients].map(|file| path(file));
        let script = |mut command: Command, name: &str, text: &str| -> anyhow::Result<Command> {
            let script = files.folder.join(name);
            std::fs::write(&script, text)?;
            command.arg(script).args(&own);
            Ok(command)
        };
        let java = |class: &str| {
            let mut command = program(&java());
            // It lives for seconds: what takes long to start and pays off later is left out.
            command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
            let mut command = script(command, "Server.java", include_str!("Server.java"))?;
            command.arg(class);
            anyhow::Ok(command)
        };
        let with = |binary: &str, arguments: &[&str]| {
            let mut command = program(binary);
            command.args(arguments);
            command
        };
        Ok(match self {
            Self::Nginx => with("nginx", &["-p", &path(&files.folder), "-c", &config]),
            Self::Haproxy => with("haproxy", &["-db", "-f", &config]),
            Self::Stunnel => with("stunnel4", &[&config]),
            Self::Hitch => with("hitch", &["--config", &config]),
            Self::OpensslServer => with("openssl", &["s_server"]),
            Self::GnutlsServ => script(program(PYTHON), "gnutls.py", include_str!("gnutls.py"))?,
            Self::Python => script(program(PYTHON), "server.py", include_str!("server.py"))?,
            Self::Node => script(program("node"), "server.mjs", include_str!("server.mjs"))?,
            Self::JavaHttpsServer => java("HttpsServer")?,
            Self::JavaSslServerSocket => java("SSLServerSocket")?,
        })
    }

    /// What a line of its log holds for each request.
    pub(super) fn evidence(self) -> &'static str {
        match self {
            Self::GnutlsServ => "command: POST ",
            _ => "REQUEST ",
        }
    }
}

/// A program of this machine, wherever Debian puts it.
pub(super) fn program(binary: &str) -> Command {
    let mut command = Command::new(binary);
    let paths = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{paths}:{SYSTEM_PATHS}"));
    command
}

/// Where Java is, or a name that leads nowhere.
fn java() -> String {
    let folder = std::fs::read_dir(JAVA_FOLDER)
        .into_iter()
        .flatten()
        .flatten();
    let found = folder.map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(JAVA) && path.join("bin/javac").exists()
    });
    path(&found.unwrap_or_else(|| JAVA.into()).join("bin/java"))
}
