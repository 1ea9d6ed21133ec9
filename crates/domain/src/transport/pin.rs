//! Pins: keys of which one has to be in a server's verified path (RFC 7469 §2.4 names them).
//!
//! **Invariant:** a pin that the server still needs is not removed by accident, and an enforced set
//! has a backup.

use hookseal_pki::certificate::SpkiSha256;

use crate::time::Timestamp;

/// Most pins of one endpoint: leaf, backup, and those of a CA or two while they change.
pub const PINS_MAX: usize = 16;
/// Longest note of a pin, in characters.
pub const PIN_NOTE_CHARS_MAX: usize = 500;

/// One pinned key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// The key.
    pub key: SpkiSha256,
    /// Where it stands.
    pub state: PinState,
    /// For people.
    pub note: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was first in a verified path of the endpoint.
    pub first_seen_at: Option<Timestamp>,
    /// When it was last.
    pub last_seen_at: Option<Timestamp>,
}

/// Where a pin stands. All of them match: the state is for people and for the rules of removal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PinState {
    /// Ready for a key to come; not seen yet.
    Staged,
    /// Its key was in a verified path: the server has changed over, or is about to.
    Seen,
    /// The key that the server is meant to have.
    Active,
    /// To be removed once the server has another.
    Retiring,
}

/// An endpoint's pins: at most [`PINS_MAX`], no key twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PinSet(Vec<Pin>);

/// Why a pin can't be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PinError {
    /// There is none of this key.
    #[error("the endpoint has no such pin")]
    Unknown,
    /// There is one already.
    #[error("the endpoint has this pin already")]
    Duplicate,
    /// There are enough.
    #[error("an endpoint has at most {PINS_MAX} pins")]
    TooMany,
    /// Nothing would match any more.
    #[error(
        "it is the only pin that the server's key matched last; removing it would stop all \
         deliveries. Stage the server's next key first, or force it"
    )]
    LastMatching,
    /// An enforced set needs two.
    #[error(
        "an enforced pin set needs a backup: at least two pins, so that a lost key does not stop \
         all deliveries. Add the pin of a key that is kept in reserve first, or force it"
    )]
    NoBackup,
    /// The server was never seen with it.
    #[error("the server was not seen with this key yet; make it active when it was, or force it")]
    NotSeen,
}

/// Whether a rule that protects from an outage is to be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Force {
    /// It is kept.
    No,
    /// The person knows what they do.
    Yes,
}

/// What a set that is in use deserves to be told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PinWarning {
    /// Only one pin is left, or all of them are of keys that the server shows now.
    NoBackup,
    /// The live key matches a staged pin only: make it active.
    LiveKeyIsStaged,
    /// The live key matches a retiring pin only: the server has not changed over yet.
    LiveKeyIsRetiring,
    /// The live key matches no pin.
    NoMatch,
}

// === impl PinSet ===

impl PinSet {
    /// A set read back from the store.
    pub fn from_stored(pins: Vec<Pin>) -> Self {
        Self(pins)
    }

    /// The pins, in the order in which they were added.
    pub fn pins(&self) -> &[Pin] {
        &self.0
    }

    /// Their keys.
    pub fn keys(&self) -> impl Iterator<Item = SpkiSha256> {
        self.0.iter().map(|pin| pin.key)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a pin.
    pub fn add(&mut self, pin: Pin) -> Result<(), PinError> {
        if self.0.iter().any(|known| known.key == pin.key) {
            return Err(PinError::Duplicate);
        }
        if self.0.len() >= PINS_MAX {
            return Err(PinError::TooMany);
        }
        self.0.push(pin);
        Ok(())
    }

    /// Whether the set may be enforced.
    pub fn may_enforce(&self, force: Force) -> Result<(), PinError> {
        if self.0.len() < 2 && force == Force::No {
            return Err(PinError::NoBackup);
        }
        Ok(())
    }

    /// Removes a pin. `live` is the path that was verified last; `enforced` whether pins are.
    pub fn remove(
        &mut self,
        key: SpkiSha256,
        live: &[SpkiSha256],
        enforced: Enforced,
        force: Force,
    ) -> Result<Pin, PinError> {
        let place = self.place(key)?;
        if force == Force::No && enforced == Enforced::Yes {
            let matches = |pin: &&Pin| live.contains(&pin.key);
            if live.contains(&key) && self.0.iter().filter(matches).count() == 1 {
                return Err(PinError::LastMatching);
            }
            if self.0.len() <= 2 {
                return Err(PinError::NoBackup);
            }
        }
        Ok(self.0.remove(place))
    }

    /// Makes a pin the active one; those that were begin to retire.
    pub fn activate(&mut self, key: SpkiSha256, force: Force) -> Result<(), PinError> {
        let place = self.place(key)?;
        let seen = self
            .0
            .get(place)
            .is_some_and(|pin| pin.first_seen_at.is_some());
        if !seen && force == Force::No {
            return Err(PinError::NotSeen);
        }
        for pin in self
            .0
            .iter_mut()
            .filter(|pin| pin.state == PinState::Active)
        {
            pin.state = PinState::Retiring;
        }
        self.set_state(key, PinState::Active)
    }

    /// Puts a pin into a state by hand.
    pub fn set_state(&mut self, key: SpkiSha256, state: PinState) -> Result<(), PinError> {
        let place = self.place(key)?;
        if let Some(pin) = self.0.get_mut(place) {
            pin.state = state;
        }
        Ok(())
    }

    /// Changes a pin's note.
    pub fn set_note(&mut self, key: SpkiSha256, note: String) -> Result<(), PinError> {
        let place = self.place(key)?;
        if let Some(pin) = self.0.get_mut(place) {
            pin.note = note;
        }
        Ok(())
    }

    /// Notes a verified path; says whether anything but the last time changed.
    pub fn observe(&mut self, path: &[SpkiSha256], at: Timestamp) -> Observed {
        let mut observed = Observed::Nothing;
        for pin in self.0.iter_mut().filter(|pin| path.contains(&pin.key)) {
            pin.last_seen_at = Some(at);
            if pin.first_seen_at.is_none() {
                pin.first_seen_at = Some(at);
                observed = Observed::Change;
            }
            if pin.state == PinState::Staged {
                pin.state = PinState::Seen;
                observed = Observed::Change;
            }
        }
        observed
    }

    /// Whether two sets differ in nothing but when their keys were seen.
    pub fn stands_as(&self, other: &Self) -> bool {
        let same = |(one, other): (&Pin, &Pin)| {
            (one.key, one.state, &one.note) == (other.key, other.state, &other.note)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }

    /// Takes over when keys were seen that another set, of the same endpoint, knows of.
    pub fn keep_seen(&mut self, known: &Self) {
        for pin in &mut self.0 {
            let Some(known) = known.0.iter().find(|known| known.key == pin.key) else {
                continue;
            };
            pin.first_seen_at = known.first_seen_at.or(pin.first_seen_at);
            pin.last_seen_at = known.last_seen_at.max(pin.last_seen_at);
        }
    }

    /// What there is to tell, given the path that was verified last.
    pub fn warnings(&self, live: &[SpkiSha256]) -> Vec<PinWarning> {
        let mut warnings = Vec::new();
        // A backup is the pin of a key that the server does not show now.
        let all_live = !live.is_empty() && self.keys().all(|key| live.contains(&key));
        if self.0.len() == 1 || (all_live && !self.0.is_empty()) {
            warnings.push(PinWarning::NoBackup);
        }
        if self.0.is_empty() || live.is_empty() {
            return warnings;
        }
        let matching: Vec<_> = self.0.iter().filter(|p| live.contains(&p.key)).collect();
        let all = |of: &[PinState]| matching.iter().all(|pin| of.contains(&pin.state));
        if matching.is_empty() {
            warnings.push(PinWarning::NoMatch);
        } else if all(&[PinState::Staged, PinState::Seen]) {
            warnings.push(PinWarning::LiveKeyIsStaged);
        } else if all(&[PinState::Retiring]) {
            warnings.push(PinWarning::LiveKeyIsRetiring);
        }
        warnings
    }

    fn place(&self, key: SpkiSha256) -> Result<usize, PinError> {
        let place = self.0.iter().position(|pin| pin.key == key);
        place.ok_or(PinError::Unknown)
    }
}

/// Whether a set is enforced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enforced {
    /// A key has to match.
    Yes,
    /// It is only watched, or not even that.
    No,
}

/// What an observation came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observed {
    /// A pin was seen for the first time.
    Change,
    /// Nothing new.
    Nothing,
}

// === impl PinState ===

impl PinState {
    /// Its name in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Seen => "seen",
            Self::Active => "active",
            Self::Retiring => "retiring",
        }
    }

    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Staged, Self::Seen, Self::Active, Self::Retiring]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

// === impl PinWarning ===

impl PinWarning {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::NoBackup,
        Self::LiveKeyIsStaged,
        Self::LiveKeyIsRetiring,
        Self::NoMatch,
    ];

    /// What it means and what to do, for people.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoBackup => {
                "There is no pin of a key that is kept in reserve: add one, so that a lost key \
                 does not stop all deliveries."
            }
            Self::LiveKeyIsStaged => {
                "The receiver shows a key whose pin is not the active one: it has changed over. \
                 Make that pin active."
            }
            Self::LiveKeyIsRetiring => {
                "The receiver still shows a key whose pin is retiring: wait with its removal until \
                 it has changed over."
            }
            Self::NoMatch => {
                "The receiver's key matches no pin. Ask the receiver whether it changed its key; \
                 if it did, add the new key's pin."
            }
        }
    }

    /// Its name in the API and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoBackup => "no_backup",
            Self::LiveKeyIsStaged => "live_key_is_staged",
            Self::LiveKeyIsRetiring => "live_key_is_retiring",
            Self::NoMatch => "no_match",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(of: u8) -> SpkiSha256 {
        SpkiSha256::of_spki(&[of])
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn set(pins: &[(u8, PinState)]) -> PinSet {
        let pin = |(of, state): &(u8, PinState)| Pin {
            key: key(*of),
            state: *state,
            note: String::new(),
            added_at: at(0),
            first_seen_at: None,
            last_seen_at: None,
        };
        PinSet::from_stored(pins.iter().map(pin).collect())
    }

    #[test]
    fn the_last_match_and_the_backup_stay() {
        let mut pins = set(&[
            (1, PinState::Active),
            (2, PinState::Staged),
            (3, PinState::Staged),
        ]);
        let live = [key(1)];
        let remove = |pins: &mut PinSet, of, enforced, force| {
            pins.remove(key(of), &live, enforced, force).map(|_| ())
        };
        assert_eq!(
            remove(&mut pins, 1, Enforced::Yes, Force::No),
            Err(PinError::LastMatching)
        );
        assert_eq!(remove(&mut pins, 3, Enforced::Yes, Force::No), Ok(()));
        assert_eq!(
            remove(&mut pins, 2, Enforced::Yes, Force::No),
            Err(PinError::NoBackup)
        );
        assert_eq!(
            remove(&mut pins, 3, Enforced::Yes, Force::Yes),
            Err(PinError::Unknown)
        );
        assert_eq!(remove(&mut pins, 1, Enforced::Yes, Force::Yes), Ok(()));
        assert_eq!(remove(&mut pins, 2, Enforced::No, Force::No), Ok(()));
        assert!(pins.is_empty());
    }

    #[test]
    fn a_pin_becomes_active_once_it_was_seen() {
        let mut pins = set(&[(1, PinState::Active), (2, PinState::Staged)]);
        assert_eq!(pins.activate(key(2), Force::No), Err(PinError::NotSeen));
        assert_eq!(pins.observe(&[key(2)], at(5)), Observed::Change);
        assert_eq!(pins.observe(&[key(2)], at(6)), Observed::Nothing);
        assert_eq!(pins.warnings(&[key(2)]), [PinWarning::LiveKeyIsStaged]);
        assert_eq!(pins.activate(key(2), Force::No), Ok(()));
        let states: Vec<_> = pins.pins().iter().map(|pin| pin.state).collect();
        assert_eq!(states, [PinState::Retiring, PinState::Active]);
        assert_eq!(pins.warnings(&[key(1)]), [PinWarning::LiveKeyIsRetiring]);
        assert_eq!(pins.warnings(&[key(9)]), [PinWarning::NoMatch]);
        assert_eq!(pins.warnings(&[]), []);
    }

    #[test]
    fn a_note_is_changed_alone() {
        let mut pins = set(&[(1, PinState::Active)]);
        assert_eq!(pins.set_note(key(1), "next year's".to_owned()), Ok(()));
        assert_eq!(pins.pins()[0].note, "next year's");
        assert_eq!(pins.pins()[0].state, PinState::Active);
        let unknown = pins.set_note(key(2), String::new());
        assert_eq!(unknown, Err(PinError::Unknown));
    }

    #[test]
    fn what_was_seen_meanwhile_is_no_change_and_stays() {
        let before = set(&[(1, PinState::Active), (2, PinState::Staged)]);
        let mut seen = before.clone();
        seen.observe(&[key(1)], at(5));
        assert!(seen.stands_as(&before) && seen != before);
        let mut new = set(&[(2, PinState::Staged), (1, PinState::Retiring)]);
        assert!(!new.stands_as(&before));
        new.keep_seen(&seen);
        let times = |pin: &Pin| (pin.first_seen_at, pin.last_seen_at);
        let times: Vec<_> = new.pins().iter().map(times).collect();
        assert_eq!(times, [(None, None), (Some(at(5)), Some(at(5)))]);
        seen.observe(&[key(2)], at(6));
        assert!(!seen.stands_as(&before), "a staged one was seen");
        assert!(!set(&[(1, PinState::Active)]).stands_as(&before));
    }

    #[test]
    fn bounds() {
        let mut pins = PinSet::default();
        let one = set(&[(0, PinState::Staged)]).pins()[0].clone();
        for of in 0..16 {
            let key = key(of);
            assert_eq!(pins.add(Pin { key, ..one.clone() }), Ok(()));
        }
        assert_eq!(pins.add(one.clone()), Err(PinError::Duplicate));
        let key = key(16);
        assert_eq!(pins.add(Pin { key, ..one }), Err(PinError::TooMany));
        assert_eq!(
            PinSet::default().may_enforce(Force::No),
            Err(PinError::NoBackup)
        );
        assert_eq!(pins.may_enforce(Force::No), Ok(()));
    }
}
