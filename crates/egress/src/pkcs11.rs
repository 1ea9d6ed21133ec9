//! A PKCS#11 token that keeps keys of ours and signs with them.
//!
//! **Invariant:** keys never leave the token; a PIN that was refused is not tried again, since
//! tokens lock themselves after a few. What a token does can't be interrupted: only so many calls
//! are made at once, so that one that hangs holds up no more than them. A token that can't be
//! reached is looked for again whenever it is needed.

mod key;
mod method;

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CallError, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use hookseal_domain::secret::Secret;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

pub(crate) use self::key::TokenKey;
use crate::limits::{TOKEN_SESSIONS_MAX, TOKEN_WAIT_MAX};

/// Where the token is.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The library that speaks with it.
    pub module: PathBuf,
    /// What the token is called.
    pub label: String,
    /// What it lets us in by.
    pub pin: Secret<String>,
}

/// A token, reached through a few sessions.
pub(crate) struct Token {
    config: TokenConfig,
    /// Once it was loaded.
    module: Mutex<Option<Pkcs11>>,
    sessions: Mutex<Sessions>,
    returned: Condvar,
}

/// The sessions with a token.
struct Sessions {
    idle: Vec<Session>,
    /// Idle ones and those that are at work.
    count: usize,
    /// Whether one is being opened: two that log in at once would both spend a try of the PIN.
    is_opening: bool,
    /// Counts how often the token was lost: what was found in it before is not valid any more.
    era: u64,
    /// Whether the token refused the PIN.
    pin_refused: bool,
}

/// A session at work.
struct Lease {
    session: Session,
    era: u64,
}

/// The token does not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the PKCS#11 module {} can't be used: {source}", path.display())]
    Module { path: PathBuf, source: CallError },
    #[error("there is no PKCS#11 token {0:?}")]
    Absent(String),
    #[error(
        "the PKCS#11 token refused its PIN (egress.pkcs11_pin_file); it is not tried again before \
         the next start, so that the token does not lock itself"
    )]
    Pin,
    #[error("the PKCS#11 token has too much to do")]
    Busy,
    #[error("the PKCS#11 token failed: {0}")]
    Call(#[from] CallError),
    #[error("the PKCS#11 token has no private key {0:?}")]
    NoKey(String),
    #[error("no key {0:?} of the PKCS#11 token belongs to the certificate")]
    Mismatch(String),
    #[error("the certificate's key is of a kind that is not used in tokens: {0}")]
    Kind(String),
    #[error("the certificate can't be read")]
    Certificate,
    #[error("the PKCS#11 token signs in no way that TLS knows")]
    NoMethod,
    #[error("the PKCS#11 token gave a signature that is none")]
    Signature,
}

// === impl Token ===

impl Token {
    /// One that is reached when it is first needed.
    pub(crate) fn new(config: TokenConfig) -> Self {
        Self {
            config,
            module: Mutex::new(None),
            sessions: Mutex::new(Sessions {
                idle: Vec::new(),
                count: 0,
                is_opening: false,
                era: 1,
                pin_refused: false,
            }),
            returned: Condvar::new(),
        }
    }

    /// What the token can do.
    fn mechanisms(&self) -> Result<Vec<MechanismType>, TokenError> {
        self.with_session(|_| {
            let module = self.module()?;
            Ok(module.get_mechanism_list(self.slot(&module)?)?)
        })
    }

    /// Whoever is named as the module runs code in this process.
    fn module(&self) -> Result<Pkcs11, TokenError> {
        let mut loaded = self.module.lock();
        if let Some(module) = &*loaded {
            return Ok(module.clone());
        }
        let unusable = |source| TokenError::Module {
            path: self.config.module.clone(),
            source,
        };
        let module = Pkcs11::new(&self.config.module).map_err(unusable)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(CallError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(unusable(error)),
        }
        *loaded = Some(module.clone());
        Ok(module)
    }

    /// Some modules look for tokens only when they are initialized.
    fn unload(&self) {
        if let Some(module) = self.module.lock().take() {
            let _ended = module.finalize();
        }
    }

    /// Does something in a session. If the token was lost meanwhile, once more in a new one.
    fn with_session<R>(
        &self,
        work: impl Fn(&Lease) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        outside_of_tasks(|| match self.once(&work) {
            Err(error) if error.is_loss() => self.once(&work),
            result => result,
        })
    }

    fn once<R>(&self, work: impl Fn(&Lease) -> Result<R, TokenError>) -> Result<R, TokenError> {
        let lease = self.lease()?;
        let result = work(&lease);
        match &result {
            Err(error) if error.is_loss() => self.lose(lease),
            _ => self.give_back(lease),
        }
        result
    }

    /// An idle session, or a new one, or one that is given back in time.
    fn lease(&self) -> Result<Lease, TokenError> {
        let deadline = Instant::now() + TOKEN_WAIT_MAX;
        let mut sessions = self.sessions.lock();
        loop {
            if let Some(session) = sessions.idle.pop() {
                let era = sessions.era;
                return Ok(Lease { session, era });
            }
            if sessions.pin_refused {
                return Err(TokenError::Pin);
            }
            if !sessions.is_opening && sessions.count < TOKEN_SESSIONS_MAX {
                break;
            }
            let wait = self.returned.wait_until(&mut sessions, deadline);
            if wait.timed_out() {
                return Err(TokenError::Busy);
            }
        }
        sessions.is_opening = true;
        let has_others = sessions.count > 0;
        drop(sessions);
        let opened = self.open_session();
        if !has_others && matches!(opened, Err(TokenError::Absent(_))) {
            self.unload();
        }
        let mut sessions = self.sessions.lock();
        sessions.is_opening = false;
        match &opened {
            Ok(_) => sessions.count += 1,
            Err(TokenError::Pin) => sessions.pin_refused = true,
            Err(_) => {}
        }
        let era = sessions.era;
        drop(sessions);
        self.returned.notify_all();
        opened.map(|session| Lease { session, era })
    }

    fn give_back(&self, lease: Lease) {
        let mut sessions = self.sessions.lock();
        if sessions.era == lease.era {
            sessions.idle.push(lease.session);
            drop(sessions);
        } else {
            sessions.count = sessions.count.saturating_sub(1);
            drop(sessions);
            drop(lease);
        }
        self.returned.notify_one();
    }

    /// Closes it and all idle sessions: they are of the same lost token.
    fn lose(&self, lease: Lease) {
        let mut sessions = self.sessions.lock();
        let mut closing = Vec::new();
        if sessions.era == lease.era {
            sessions.era += 1;
            closing = std::mem::take(&mut sessions.idle);
        }
        sessions.count = sessions.count.saturating_sub(closing.len() + 1);
        drop(sessions);
        drop(closing);
        drop(lease);
        self.returned.notify_all();
    }

    fn open_session(&self) -> Result<Session, TokenError> {
        let module = self.module()?;
        let session = module.open_ro_session(self.slot(&module)?)?;
        let pin = AuthPin::from(self.config.pin.expose().as_str());
        match session.login(UserType::User, Some(&pin)) {
            // Logging in counts for all sessions of the process.
            Ok(()) | Err(CallError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(CallError::Pkcs11(error, _)) if is_about_pin(error) => Err(TokenError::Pin),
            Err(error) => Err(error.into()),
        }
    }

    fn slot(&self, module: &Pkcs11) -> Result<Slot, TokenError> {
        for slot in module.get_slots_with_initialized_token()? {
            if module.get_token_info(slot)?.label() == self.config.label {
                return Ok(slot);
            }
        }
        Err(TokenError::Absent(self.config.label.clone()))
    }
}

/// Signing takes as long as the token likes; other tasks of this thread go elsewhere meanwhile.
fn outside_of_tasks<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

fn is_about_pin(error: RvError) -> bool {
    matches!(
        error,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
    )
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("label", &self.config.label)
            .finish_non_exhaustive()
    }
}

// === impl TokenError ===

impl TokenError {
    /// Whether the session or what was found in it is gone, so that a new one may help.
    fn is_loss(&self) -> bool {
        use RvError as Rv;
        let Self::Call(CallError::Pkcs11(error, _)) = self else {
            return false;
        };
        matches!(
            error,
            Rv::SessionHandleInvalid
                | Rv::SessionClosed
                | Rv::UserNotLoggedIn
                | Rv::KeyHandleInvalid
                | Rv::ObjectHandleInvalid
                | Rv::DeviceRemoved
                | Rv::DeviceError
                | Rv::TokenNotPresent
                | Rv::OperationActive
                | Rv::GeneralError
                | Rv::FunctionFailed
        )
    }
}
