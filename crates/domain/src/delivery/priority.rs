//! Which deliveries go first where not all can at once.

/// The class of a message's deliveries. Classes share a node by weight: none waits for ever.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Somebody waits for it.
    High,
    /// Whatever says nothing else.
    #[default]
    Normal,
    /// It may take its time.
    Bulk,
}

// === impl Priority ===

impl Priority {
    /// All, the first first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Bulk];

    /// The class of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// How many turns it has where a class of weight 1 has one. Of 21 turns the last class gets one
    /// whatever else waits.
    pub const fn weight(self) -> u32 {
        match self {
            Self::High => 16,
            Self::Normal => 4,
            Self::Bulk => 1,
        }
    }

    /// Its part of so many places if every class wants more than it gets; at least one.
    pub fn share_of(self, places: usize) -> usize {
        let usize_of = |weight| usize::try_from(weight).unwrap_or(usize::MAX);
        let all: u32 = Self::ALL.iter().map(|class| class.weight()).sum();
        (places.saturating_mul(usize_of(self.weight())) / usize_of(all)).max(1)
    }

    /// Its name, for the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for class in Priority::ALL {
            assert_eq!(Priority::parse(class.as_str()), Some(class));
        }
        assert_eq!(Priority::parse("High"), None);
        let shares = |places| Priority::ALL.map(|class| class.share_of(places));
        assert_eq!(shares(512), [390, 97, 24]);
        assert_eq!(shares(1), [1, 1, 1], "the first comes first");
        assert_eq!(Priority::default(), Priority::Normal);
    }
}
