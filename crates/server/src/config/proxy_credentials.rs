//! What proxies know us by, as it is kept in a file. Must never show a line of it.

use std::collections::BTreeMap;
use std::path::Path;

use hookseal_domain::secret::Secret;
use hookseal_domain::transport::name::Name;
use hookseal_egress::ProxyCredentials;

use crate::config::error::ConfigError;
use crate::config::file;
use crate::config::value::NamedProxy;

const KEY: &str = "egress.proxy_credentials";

/// Reads `NAME USER:PASSWORD` lines; empty ones and those that begin with # say nothing.
pub(super) fn read(
    path: &Path,
    proxies: &[NamedProxy],
) -> Result<BTreeMap<Name, ProxyCredentials>, ConfigError> {
    let content = file::read_secret(KEY, path)?;
    let mut all = BTreeMap::new();
    for (line, number) in content.expose().lines().zip(1_usize..) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let added = parse(line, proxies).and_then(|(name, credentials)| {
            let before = all.insert(name, credentials);
            before.map_or(Ok(()), |_| Err("has a second line for a proxy".to_owned()))
        });
        added.map_err(|problem| {
            let problem = format!("{}, line {number}: {problem}", path.display());
            ConfigError::unusable(KEY, problem)
        })?;
    }
    Ok(all)
}

fn parse(line: &str, proxies: &[NamedProxy]) -> Result<(Name, ProxyCredentials), String> {
    let form = || "must be NAME USER:PASSWORD".to_owned();
    let (name, pair) = line.split_once(' ').ok_or_else(form)?;
    let (user, password) = pair.trim_start().split_once(':').ok_or_else(form)?;
    let is_named = |proxy: &&NamedProxy| proxy.name.as_str() == name;
    let proxy = proxies.iter().find(is_named);
    let proxy = proxy.ok_or("names no proxy of egress.proxies")?;
    let credentials = ProxyCredentials::new(user, Secret::new(password.to_owned()));
    let credentials = credentials.map_err(|error| error.to_string())?;
    Ok((proxy.name.clone(), credentials))
}

#[cfg(test)]
mod tests {
    use hookseal_egress::ProxyAddress;

    use super::*;

    fn read_text(text: &str) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::fs::write(&path, text).unwrap();
        let proxy = NamedProxy {
            name: Name::parse("dmz").unwrap(),
            address: ProxyAddress::parse("socks5://proxy:1080").unwrap(),
        };
        let place = format!("egress.proxy_credentials: {}, ", path.display());
        match read(&path, &[proxy]) {
            Ok(credentials) => Ok(credentials.len()),
            Err(error) => Err(error.to_string().replace(&place, "")),
        }
    }

    #[test]
    fn lines() {
        let check = |text: &str, expect: Result<usize, &str>| {
            let read = read_text(text);
            assert_eq!(read, expect.map_err(str::to_owned), "{text}");
        };
        check("# whose\n\ndmz us:a:b c\r\n", Ok(1));
        check("", Ok(0));
        check("us:sesame", Err("line 1: must be NAME USER:PASSWORD"));
        check("dmz sesame", Err("line 1: must be NAME USER:PASSWORD"));
        check(
            "\nlan us:sesame",
            Err("line 2: names no proxy of egress.proxies"),
        );
        check(
            "dmz us:",
            Err("line 1: user and password must have 1 to 255 bytes each"),
        );
        check(
            "dmz a:b\ndmz c:d",
            Err("line 2: has a second line for a proxy"),
        );
    }
}
