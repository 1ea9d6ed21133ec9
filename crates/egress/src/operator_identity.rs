//! Client identities that the operator keeps in files, with the key in a file or in a PKCS#11
//! token, and that follow those files.
//!
//! **Invariant:** certificate and key are taken into use together or not at all. At a start,
//! anything unusable is an error; afterwards what was in use stays in use, and the reason is told.

mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::identity::IssuedCertificate;
use hookseal_domain::transport::name::Name;
use parking_lot::Mutex;
use tracing::{info, warn};

use self::files::{Fingerprint, IdentityFiles, Problem};
use crate::pkcs11::Token;
use crate::presentable::Presentable;

/// Where an identity of the operator's is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperatorIdentity {
    /// What policies call it.
    pub name: Name,
    /// PEM file with our certificate first and its intermediate ones after it.
    pub certificate: PathBuf,
    /// Where its key is.
    pub key: OperatorKey,
}

/// Where the key of an identity is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OperatorKey {
    /// In a PEM file.
    File(PathBuf),
    /// In the PKCS#11 token, under this label.
    Token(String),
}

/// How an identity of the operator's is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OperatorIdentityStatus {
    /// What policies call it.
    pub name: Name,
    /// Our certificates that are presented: the current one, then the one before it until that
    /// expires, for receivers that don't know the new one yet.
    pub certificates: Vec<IssuedCertificate>,
    /// Counts the certificates that were in use, from 1.
    pub epoch: u64,
    /// Why the files as they are now are not in use.
    pub last_error: Option<String>,
}

/// An identity can't be used as it is.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct OperatorIdentityError {
    name: Name,
    problem: Problem,
}

/// All identities of the operator's.
pub(crate) struct OperatorIdentities(BTreeMap<Name, Arc<WatchedIdentity>>);

/// One identity, following its files.
pub(crate) struct WatchedIdentity {
    source: OperatorIdentity,
    token: Option<Arc<Token>>,
    in_use: ArcSwap<InUse>,
    watch: Mutex<Watch>,
    /// Why the files as they are now are not in use. Apart from the rest: whoever asks for it does
    /// not wait for files and tokens.
    error: Mutex<Option<String>>,
}

/// What is presented.
pub(crate) struct InUse {
    /// Grows with each change: what was connected under another one is not used any more.
    pub(crate) epoch: u64,
    /// Preferred first.
    pub(crate) presentable: Arc<[Arc<Presentable>]>,
}

/// What is known of the files.
struct Watch {
    /// What is in use was read from this.
    in_use: Fingerprint,
    /// What was read last.
    read: Fingerprint,
}

// === impl OperatorIdentities ===

impl OperatorIdentities {
    /// Reads them all.
    pub(crate) fn load(
        sources: &[OperatorIdentity],
        token: Option<&Arc<Token>>,
        now: Timestamp,
    ) -> Result<Self, OperatorIdentityError> {
        let mut all = BTreeMap::new();
        for source in sources {
            let identity = WatchedIdentity::load(source, token, now).map_err(|problem| {
                let name = source.name.clone();
                OperatorIdentityError { name, problem }
            })?;
            all.insert(source.name.clone(), Arc::new(identity));
        }
        Ok(Self(all))
    }

    /// The one of this name.
    pub(crate) fn get(&self, name: &Name) -> Option<&Arc<WatchedIdentity>> {
        self.0.get(name)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// Looks whether files have changed, and takes what changed into use. To be called every few
    /// seconds: it reads small files.
    pub(crate) fn poll(&self, now: Timestamp) {
        for identity in self.0.values() {
            identity.poll(now);
        }
    }

    /// How they are.
    pub(crate) fn statuses(&self) -> Vec<OperatorIdentityStatus> {
        self.0.values().map(|identity| identity.status()).collect()
    }
}

// === impl WatchedIdentity ===

impl WatchedIdentity {
    fn load(
        source: &OperatorIdentity,
        token: Option<&Arc<Token>>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let files = IdentityFiles::read(source);
        let fingerprint = files.fingerprint();
        let presentable = files.into_presentable(source, token, now)?;
        Ok(Self {
            source: source.clone(),
            token: token.cloned(),
            in_use: ArcSwap::from_pointee(InUse {
                epoch: 1,
                presentable: [Arc::new(presentable)].into(),
            }),
            watch: Mutex::new(Watch {
                in_use: fingerprint,
                read: fingerprint,
            }),
            error: Mutex::new(None),
        })
    }

    /// What policies call it.
    pub(crate) fn name(&self) -> &Name {
        &self.source.name
    }

    /// What is presented now.
    pub(crate) fn in_use(&self) -> Arc<InUse> {
        self.in_use.load_full()
    }

    /// A change counts once it was read twice alike: two files are never replaced at one instant,
    /// and one may be met half written. The files are read, not watched: swaps of symbolic links
    /// above them would go unnoticed otherwise.
    fn poll(&self, now: Timestamp) {
        let mut watch = self.watch.lock();
        let files = IdentityFiles::read(&self.source);
        let fingerprint = files.fingerprint();
        if fingerprint != watch.read {
            watch.read = fingerprint;
            return;
        }
        if fingerprint == watch.in_use {
            *self.error.lock() = None;
            return;
        }
        match files.into_presentable(&self.source, self.token.as_ref(), now) {
            Ok(presentable) => {
                self.take_into_use(presentable, now);
                watch.in_use = fingerprint;
                *self.error.lock() = None;
            }
            Err(problem) => self.refuse(&problem),
        }
    }

    fn take_into_use(&self, new: Presentable, now: Timestamp) {
        let name = &self.source.name;
        let ends_at = new.not_after();
        let before = self.in_use();
        let previous = before
            .presentable
            .iter()
            .find(|one| one.sha256() != new.sha256() && one.not_after() >= now);
        let mut presentable = vec![Arc::new(new)];
        presentable.extend(previous.cloned());
        self.in_use.store(Arc::new(InUse {
            epoch: before.epoch + 1,
            presentable: presentable.into(),
        }));
        info!(identity = %name, certificate.ends_at = %ends_at,
            "Took the new certificate of client identity {name} into use");
    }

    fn refuse(&self, problem: &Problem) {
        let name = &self.source.name;
        let text = problem.to_string();
        let mut error = self.error.lock();
        if error.as_ref() != Some(&text) {
            warn!(identity = %name, problem = %text,
                "Kept the old certificate of client identity {name}: its files have changed and \
                 can't be used");
            *error = Some(text);
        }
    }

    fn status(&self) -> OperatorIdentityStatus {
        let in_use = self.in_use();
        OperatorIdentityStatus {
            name: self.source.name.clone(),
            certificates: in_use.presentable.iter().map(|one| one.issued()).collect(),
            epoch: in_use.epoch,
            last_error: self.error.lock().clone(),
        }
    }
}
