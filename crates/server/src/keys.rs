//! The key files of a data directory: made at the first start, read at every other. Must never
//! print a key, nor use one that others on the machine can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use hookseal_domain::secret::Secret;
use hookseal_store::seal::{KEY_BYTES, MasterKey};

use crate::config::Config;
use crate::config::store::StoreUrl;
use crate::runtime::random::SystemRandom;

/// Bytes of a made token secret, and fewest of a good one: the output size of SHA-256 (RFC 7518
/// §3.2).
const JWT_SECRET_BYTES: usize = 32;
/// Longest key file that is read: far above the base64 of any key.
const FILE_BYTES_MAX: u64 = 4096;
/// What group and others may do with a key file: nothing.
const MODE_OF_OTHERS: u32 = 0o077;

/// A key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The data directory can't be made.
    #[error("{}: the data directory can't be made", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can't be read or made.
    #[error("{}: the key file can't be read or made", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others on the machine can read it.
    #[error(
        "{0}: the key file has mode {mode:03o}, so that others can read it; run chmod 600 {0}",
        path.display()
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("{}: the key file must hold {expected}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it must hold.
        expected: &'static str,
    },
    /// There is a database, but not the key that it was sealed with.
    #[error(
        "{}: there is a database, but the key file that it was sealed with is missing at {}; put \
         it back, or set keys.master_key_file to where it is: no other key opens the database",
        database.display(), key.display()
    )]
    MissingMasterKey {
        /// The database.
        database: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
}

/// The key that the store is sealed with; made if there is neither key nor database yet.
pub fn master_key(config: &Config) -> Result<MasterKey, KeyError> {
    let path = config.master_key_file();
    let StoreUrl::Sqlite(database) = config.store_url();
    if !path.exists() && database.exists() {
        return Err(KeyError::MissingMasterKey {
            database,
            key: path,
        });
    }
    make_data_dir(config)?;
    let text = read_or_make::<KEY_BYTES>(&path)?;
    let malformed = || KeyError::Malformed {
        path: path.clone(),
        expected: "the base64 of 32 bytes",
    };
    let bytes = Zeroizing::new(STANDARD.decode(text.expose()).map_err(|_| malformed())?);
    let bytes: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| malformed())?;
    MasterKey::new(&Secret::new(bytes)).map_err(|_| malformed())
}

/// The secret that tokens are signed with: the configured one, or the data directory's own, which
/// is made if it is missing.
pub fn jwt_secret(config: &Config) -> Result<Secret<Vec<u8>>, KeyError> {
    if let Some(configured) = &config.auth.jwt_secret {
        return Ok(Secret::new(configured.expose().as_bytes().to_vec()));
    }
    make_data_dir(config)?;
    let path = config.jwt_secret_file();
    let text = read_or_make::<JWT_SECRET_BYTES>(&path)?;
    if text.expose().is_empty() {
        let expected = "the secret that tokens are signed with";
        return Err(KeyError::Malformed { path, expected });
    }
    Ok(Secret::new(text.expose().as_bytes().to_vec()))
}

/// What is wrong with a weak secret of tokens, and what to do about it.
pub(crate) fn jwt_secret_weakness(secret: &Secret<Vec<u8>>) -> Option<String> {
    (secret.expose().len() < JWT_SECRET_BYTES).then(|| {
        format!(
            "is shorter than {JWT_SECRET_BYTES} bytes, so that it can be guessed from a token; \
             set a longer auth.jwt_secret and make new tokens"
        )
    })
}

/// Refuses a key file that group or others may read or write.
pub fn check_mode(path: &Path) -> Result<(), KeyError> {
    let metadata = fs::metadata(path).map_err(|source| KeyError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & MODE_OF_OTHERS == 0 {
        Ok(())
    } else {
        let path = path.to_path_buf();
        Err(KeyError::Exposed { path, mode })
    }
}

/// Makes the data directory, for its owner only, if it is missing.
pub fn make_data_dir(config: &Config) -> Result<(), KeyError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&config.data_dir);
    made.map_err(|source| KeyError::DataDir {
        path: config.data_dir.clone(),
        source,
    })
}

/// The text of a key file without the line's end; a missing file is made of `N` random bytes.
fn read_or_make<const N: usize>(path: &Path) -> Result<Secret<String>, KeyError> {
    let failed = |source| KeyError::File {
        path: path.to_path_buf(),
        source,
    };
    match make::<N>(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_mode(path)?,
        Err(error) => return Err(failed(error)),
    }
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// Makes a key file, whole and durable or not at all: a key that was used and then lost with the
/// power would take the database with it.
fn make<const N: usize>(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let unfinished = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let text = Zeroizing::new(STANDARD.encode(SystemRandom.key::<N>().expose()));
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        // Unlike a rename, a link never replaces what another process made meanwhile.
        .and_then(|()| fs::hard_link(&unfinished, path));
    fs::remove_file(&unfinished)?;
    written?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use crate::config::source::Sources;

    use super::*;

    fn config(folder: &Path) -> Config {
        Config::load(folder.join("data"), &Sources::default()).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_keys_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        master_key(&config).unwrap();
        let secret = jwt_secret(&config).unwrap();
        assert_eq!(secret.expose().len(), 44, "the base64 of 32 bytes");
        assert_eq!(jwt_secret_weakness(&secret), None);
        assert_eq!(mode(&config.data_dir), 0o700);
        assert_eq!(mode(&config.master_key_file()), 0o600);
        assert_eq!(mode(&config.jwt_secret_file()), 0o600);
        assert!(secret.matches(&jwt_secret(&config).unwrap()), "stays");
        let names = fs::read_dir(&config.data_dir).unwrap().count();
        assert_eq!(names, 2, "nothing unfinished is left");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        master_key(&config).unwrap();
        let path = config.master_key_file();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let text = master_key(&config).unwrap_err().to_string();
        let path = path.display();
        assert_eq!(
            text,
            format!(
                "{path}: the key file has mode 640, so that others can read it; run chmod 600 \
                 {path}"
            )
        );
    }

    #[test]
    fn a_database_without_its_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        make_data_dir(&config).unwrap();
        fs::write(config.data_dir.join("hookseal.db"), "").unwrap();
        let error = master_key(&config).unwrap_err();
        assert!(
            matches!(error, KeyError::MissingMasterKey { .. }),
            "{error}"
        );
        assert!(!config.master_key_file().exists());
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        master_key(&config).unwrap();
        for text in ["", "hush", "aHVzaA=="] {
            fs::write(config.master_key_file(), text).unwrap();
            let error = master_key(&config).unwrap_err();
            assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_configured_secret_needs_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            set: vec!["auth.jwt_secret=hush".parse().unwrap()],
            ..Sources::default()
        };
        let config = Config::load(folder.path().join("data"), &sources).unwrap();
        let secret = jwt_secret(&config).unwrap();
        assert_eq!(secret.expose(), b"hush");
        assert!(jwt_secret_weakness(&secret).is_some());
        assert!(!config.data_dir.exists());
    }
}
