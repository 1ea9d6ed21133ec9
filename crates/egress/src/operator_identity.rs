//! Client identities that the operator keeps in files, with the key in a file or in a PKCS#11
//! token, and that follow those files.
//!
//! **Invariant:** certificate and key are taken into use together or not at all. What can't be used
//! holds up nothing else: what was in use before stays in use, and where there is nothing, nothing
//! is sent; the reason is told, and what is mended is taken into use.

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

use self::files::{Fingerprint, IdentityFiles, Problem, check_for_clients_now};
use crate::error::reason;
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
    /// Counts the certificates that were in use: 0 while there was none.
    pub epoch: u64,
    /// Why the files as they are now can't be used, with their paths.
    pub last_error: Option<String>,
}

/// All identities of the operator's.
pub(crate) struct OperatorIdentities(BTreeMap<Name, Arc<WatchedIdentity>>);

/// One identity, following its files.
pub(crate) struct WatchedIdentity {
    source: OperatorIdentity,
    token: Option<Arc<Token>>,
    in_use: ArcSwap<InUse>,
    watch: Mutex<Watch>,
    /// Apart from the rest: whoever asks for it does not wait for files and tokens.
    trouble: Mutex<Option<Trouble>>,
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
    in_use: Option<Fingerprint>,
    /// What was read last.
    read: Fingerprint,
}

/// Why the files as they are now can't be used.
#[derive(Eq, PartialEq)]
struct Trouble {
    /// For the operator: with paths and causes.
    whole: String,
    /// For whoever reads attempts.
    short: String,
    /// Whether an older certificate is presented meanwhile.
    is_bridged: bool,
}

// === impl OperatorIdentities ===

impl OperatorIdentities {
    /// Reads them all, and warns of those that can't be used.
    pub(crate) fn load(
        sources: &[OperatorIdentity],
        token: Option<&Arc<Token>>,
        now: Timestamp,
    ) -> Self {
        let load = |source: &OperatorIdentity| {
            let identity = WatchedIdentity::load(source, token, now);
            (source.name.clone(), Arc::new(identity))
        };
        Self(sources.iter().map(load).collect())
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
    fn load(source: &OperatorIdentity, token: Option<&Arc<Token>>, now: Timestamp) -> Self {
        let files = IdentityFiles::read(source);
        let identity = Self {
            source: source.clone(),
            token: token.cloned(),
            in_use: ArcSwap::from_pointee(InUse {
                epoch: 0,
                presentable: [].into(),
            }),
            watch: Mutex::new(Watch {
                in_use: None,
                read: files.fingerprint(),
            }),
            trouble: Mutex::new(None),
        };
        identity.take_up(&mut identity.watch.lock(), files, now);
        identity
    }

    /// What policies call it.
    pub(crate) fn name(&self) -> &Name {
        &self.source.name
    }

    /// What is presented now.
    pub(crate) fn in_use(&self) -> Arc<InUse> {
        self.in_use.load_full()
    }

    /// Why it can't be used as it is now, in words without paths.
    pub(crate) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.as_ref().map(|trouble| trouble.short.clone())
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
        if watch.in_use == Some(fingerprint) {
            self.look_at_what_is_in_use(now);
        } else {
            self.take_up(&mut watch, files, now);
        }
    }

    /// Takes what was read last into use, if it can be.
    fn take_up(&self, watch: &mut Watch, files: IdentityFiles, now: Timestamp) {
        match files.into_presentable(&self.source, self.token.as_ref(), now) {
            Ok(presentable) => {
                self.take_into_use(presentable, now);
                watch.in_use = Some(watch.read);
                *self.trouble.lock() = None;
            }
            Err(problem) => self.refuse(&problem, now),
        }
    }

    /// What is in use may end meanwhile.
    fn look_at_what_is_in_use(&self, now: Timestamp) {
        let in_use = self.in_use();
        let current = in_use.presentable.first();
        let checked = current.map(|one| check_for_clients_now(&self.source.certificate, one, now));
        match checked {
            Some(Err(problem)) => self.refuse(&problem, now),
            _ => *self.trouble.lock() = None,
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
            "Took the certificate of client identity {name} into use");
    }

    fn refuse(&self, problem: &Problem, now: Timestamp) {
        let name = &self.source.name;
        let presentable = &self.in_use().presentable;
        let trouble = Trouble {
            whole: reason(problem),
            short: problem.in_short(),
            is_bridged: presentable.iter().any(|one| one.is_valid_at(now)),
        };
        let mut known = self.trouble.lock();
        if known.as_ref() == Some(&trouble) {
            return;
        }
        if trouble.is_bridged {
            warn!(identity = %name, problem = %trouble.whole,
                "Kept the old certificate of client identity {name}: its files have changed and \
                 can't be used");
        } else {
            warn!(identity = %name, problem = %trouble.whole,
                "Client identity {name} can't be used: nothing is sent to endpoints that are to \
                 be shown it until it is mended");
        }
        *known = Some(trouble);
    }

    fn status(&self) -> OperatorIdentityStatus {
        let in_use = self.in_use();
        OperatorIdentityStatus {
            name: self.source.name.clone(),
            certificates: in_use.presentable.iter().map(|one| one.issued()).collect(),
            epoch: in_use.epoch,
            last_error: self.trouble.lock().as_ref().map(|one| one.whole.clone()),
        }
    }
}
