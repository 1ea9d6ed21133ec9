//! What becomes of a payload that does not match its event type's schema.

/// How strictly payloads are held against the newest schema of their event type.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ValidationMode {
    /// Nobody looks.
    #[default]
    Off,
    /// What does not match is accepted, counted and logged.
    Warn,
    /// What does not match is refused.
    Enforce,
}

// === impl ValidationMode ===

impl ValidationMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Warn, Self::Enforce];

    /// The mode of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Its name, for the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for mode in ValidationMode::ALL {
            assert_eq!(ValidationMode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(ValidationMode::parse("Enforce"), None);
    }
}
