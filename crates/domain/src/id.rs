//! Typed ids: `ep_` and 27 base62 characters outside, a 63-bit integer inside.
//!
//! The integer is laid out so that the public form is a KSUID with millisecond resolution: 32 bits
//! of seconds since 2014-05-13T16:53:20Z, 10 bits of milliseconds, 6 of cell, 8 of node, 8 of
//! sequence. The other 12 bytes of the KSUID are a checksum of the integer, so both forms convert
//! without a table and a mistyped id is recognised. An id is a name, never a credential.
//! **Invariant:** ids made by one generator only grow, even when the clock steps back.

use std::fmt;

use crate::time::Timestamp;

/// Seconds between the Unix epoch and the KSUID epoch.
const EPOCH_SECS: i64 = 1_400_000_000;
/// Bits below the time: cell, node and sequence.
const TAIL_BITS: u32 = 22;
/// Characters after the prefix.
const TEXT_LENGTH: usize = 27;
/// The highest sequence within a millisecond.
const SEQUENCE_MAX: u16 = 255;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(i64);

        impl $name {
            /// What the public form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// From the integer that the store holds.
            pub const fn from_raw(raw: i64) -> Self {
                Self(raw)
            }

            /// The integer that the store holds.
            pub const fn raw(self) -> i64 {
                self.0
            }

            /// Reads the public form; `None` for anything that no generator of ours made.
            pub fn parse(text: &str) -> Option<Self> {
                decode(text.strip_prefix($prefix)?).map(Self)
            }

            /// When it was made, to the millisecond.
            pub fn created_at(self) -> Timestamp {
                created_at(self.0)
            }
        }

        impl From<RawId> for $name {
            fn from(raw: RawId) -> Self {
                Self(raw.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(&encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

ids! {
    /// A token of the organisation that the API made.
    ApiTokenId "key_";
    /// One consumer of the events.
    AppId "app_";
    /// One try of a delivery.
    AttemptId "atmpt_";
    /// One request that brings several events.
    BatchId "batch_";
    /// A URL that receives.
    EndpointId "ep_";
    /// The kind of thing that happens.
    EventTypeId "evtype_";
    /// One published event.
    MessageId "msg_";
    /// A piece of work that goes on after its request was answered.
    TaskId "qtask_";
}

/// An id that has no kind yet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RawId(i64);

/// The provider: whoever holds a token for it is that tenant. Any KSUID, since tokens may be
/// minted elsewhere.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OrgId([u8; 20]);

/// Makes ids of one node. `next` is given the time.
#[derive(Debug)]
pub struct IdGenerator {
    cell_and_node: i64,
    last_time: i64,
    sequence: u16,
}

// === impl RawId ===

impl RawId {
    /// The integer.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// The lowest id that can have been made at `at` or later: for ranges over time.
    pub fn floor_of(at: Timestamp) -> Self {
        Self(time_field(at) << TAIL_BITS)
    }
}

// === impl OrgId ===

impl OrgId {
    /// What the public form starts with.
    pub const PREFIX: &'static str = "org_";

    /// Reads `org_` and 27 base62 characters.
    pub fn parse(text: &str) -> Option<Self> {
        decode_bytes(text.strip_prefix(Self::PREFIX)?).map(Self)
    }

    /// The 20 bytes that the store holds.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// From the bytes that the store holds.
    pub fn from_stored(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        f.write_str(&encode_bytes(self.0))
    }
}

impl fmt::Debug for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl IdGenerator ===

impl IdGenerator {
    /// A generator whose first id is above `floor`, the highest id that this node may have made
    /// before.
    pub fn new(cell: u8, node: u8, floor: Option<i64>) -> Self {
        let cell_and_node = (i64::from(cell & 0x3f) << 16) | (i64::from(node) << 8);
        let last_time = floor.map_or(0, |id| id >> TAIL_BITS);
        Self {
            cell_and_node,
            last_time,
            sequence: SEQUENCE_MAX,
        }
    }

    /// Goes on above `floor`, too.
    pub fn raise(&mut self, floor: Option<i64>) {
        let floor_time = floor.map_or(0, |id| id >> TAIL_BITS);
        if floor_time >= self.last_time {
            self.last_time = floor_time;
            self.sequence = SEQUENCE_MAX;
        }
    }

    /// The next id. When the clock stands still or steps back, ids go on from the last one; a full
    /// millisecond borrows the next.
    pub fn next_id(&mut self, now: Timestamp) -> RawId {
        let now = time_field(now);
        if now > self.last_time {
            self.last_time = now;
            self.sequence = 0;
        } else if self.sequence < SEQUENCE_MAX {
            self.sequence += 1;
        } else {
            self.last_time = next_time_field(self.last_time);
            self.sequence = 0;
        }
        RawId((self.last_time << TAIL_BITS) | self.cell_and_node | i64::from(self.sequence))
    }
}

/// A fast mix of all bits (the finaliser of splitmix64): for checksums and slices, not for secrecy.
pub(crate) const fn mix(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn time_field(at: Timestamp) -> i64 {
    let secs = (at.as_secs() - EPOCH_SECS).clamp(0, i64::from(i32::MAX));
    (secs << 10) | at.as_millis().rem_euclid(1000)
}

fn next_time_field(field: i64) -> i64 {
    if field & 0x3ff < 999 {
        field + 1
    } else {
        ((field >> 10) + 1) << 10
    }
}

fn created_at(id: i64) -> Timestamp {
    let field = id >> TAIL_BITS;
    Timestamp::from_millis(((field >> 10) + EPOCH_SECS) * 1000 + (field & 0x3ff).min(999))
}

fn to_bytes(id: i64) -> [u8; 20] {
    let check = mix(id.cast_unsigned());
    let more = mix(check).to_be_bytes();
    let mut bytes = [0; 20];
    let parts = id
        .to_be_bytes()
        .into_iter()
        .chain(check.to_be_bytes())
        .chain(more);
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = from;
    }
    bytes
}

fn encode(id: i64) -> String {
    encode_bytes(to_bytes(id))
}

fn decode(text: &str) -> Option<i64> {
    let bytes = decode_bytes(text)?;
    let id = i64::from_be_bytes(*bytes.first_chunk::<8>()?);
    (id >= 0 && to_bytes(id) == bytes).then_some(id)
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// As many as fit into 32 bits.
const DIGITS_AT_ONCE: usize = 5;
const DIGITS_BASE: u64 = 62_u64.pow(5);

fn encode_bytes(bytes: [u8; 20]) -> String {
    let mut limbs = to_limbs(bytes);
    let mut text = [b'0'; TEXT_LENGTH];
    // Several digits with each division of the whole: ids are written for every delivery.
    for digits in text.rchunks_mut(DIGITS_AT_ONCE) {
        let mut rest: u64 = 0;
        for limb in &mut limbs {
            let value = (rest << 32) | u64::from(*limb);
            *limb = u32::try_from(value / DIGITS_BASE).unwrap_or(u32::MAX);
            rest = value % DIGITS_BASE;
        }
        for slot in digits.iter_mut().rev() {
            let digit = usize::try_from(rest % 62).unwrap_or_default();
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest /= 62;
        }
    }
    let mut encoded = String::with_capacity(TEXT_LENGTH);
    encoded.extend(text.iter().copied().map(char::from));
    encoded
}

fn to_limbs(bytes: [u8; 20]) -> [u32; 5] {
    let mut limbs = [0; 5];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = chunk
            .iter()
            .fold(0, |value, byte| (value << 8) | u32::from(*byte));
    }
    limbs
}

fn decode_bytes(text: &str) -> Option<[u8; 20]> {
    if text.len() != TEXT_LENGTH {
        return None;
    }
    let mut limbs = [0_u32; 5];
    for byte in text.bytes() {
        let mut carry = u64::from(digit(byte)?);
        for limb in limbs.iter_mut().rev() {
            let value = u64::from(*limb) * 62 + carry;
            *limb = u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX);
            carry = value >> 32;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; 20];
    for (to, from) in bytes
        .iter_mut()
        .zip(limbs.iter().flat_map(|limb| limb.to_be_bytes()))
    {
        *to = from;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_422_000_123);

    #[test]
    fn both_forms_convert() {
        let mut ids = IdGenerator::new(3, 7, None);
        for _ in 0..1000 {
            let id = EndpointId::from(ids.next_id(NOW));
            let text = id.to_string();
            assert_eq!(text.len(), "ep_".len() + 27);
            assert_eq!(EndpointId::parse(&text), Some(id));
            assert_eq!(AppId::parse(&text), None, "another kind");
        }
        assert_eq!(
            EndpointId::from(IdGenerator::new(0, 0, None).next_id(NOW)).created_at(),
            NOW
        );
    }

    #[test]
    fn a_mistyped_id_is_no_id() {
        let id = MessageId::from(IdGenerator::new(0, 0, None).next_id(NOW)).to_string();
        let typo: String = id
            .chars()
            .rev()
            .skip(1)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        assert_eq!(MessageId::parse(&format!("{typo}0")), None);
        assert_eq!(MessageId::parse(&typo), None);
        assert_eq!(
            MessageId::parse("msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz"),
            None,
            "overflows 160 bits"
        );
        assert_eq!(MessageId::parse("msg_ééééééééééééé0"), None);
    }

    #[test]
    fn ids_only_grow_and_text_sorts_alike() {
        let mut ids = IdGenerator::new(0, 0, None);
        let clock = [0, 0, 5, -9000, 0, 5, 6, 2000];
        let made: Vec<_> = clock
            .iter()
            .flat_map(|step| std::iter::repeat_n(*step, 300))
            .map(|step| {
                MessageId::from(ids.next_id(Timestamp::from_millis(NOW.as_millis() + step)))
            })
            .collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            made.windows(2)
                .all(|pair| pair[0].to_string() < pair[1].to_string())
        );
    }

    #[test]
    fn a_floor_is_respected() {
        let high =
            IdGenerator::new(0, 0, None).next_id(NOW.plus(std::time::Duration::from_secs(9)));
        let next = IdGenerator::new(0, 0, Some(high.raw())).next_id(NOW);
        assert!(next > high);
    }

    #[test]
    fn organisations_are_any_ksuid() {
        let org = OrgId::parse("org_23rb8YdGqMT0qIzpgGwdXfHirMu").unwrap();
        assert_eq!(org.to_string(), "org_23rb8YdGqMT0qIzpgGwdXfHirMu");
        assert_eq!(OrgId::parse("org_short"), None);
    }
}
