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
        assert_eq!(Priority::default(), Priority::Normal);
    }
}
