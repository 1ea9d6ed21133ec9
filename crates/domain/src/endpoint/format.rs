//! In which form an endpoint gets its deliveries.

/// The form of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// The payload as it is, with the headers of Standard Webhooks.
    #[default]
    Standard,
    /// A CloudEvent in structured mode: the payload within its event.
    Structured,
    /// A CloudEvent in binary mode: the payload as it is, the rest in headers.
    Binary,
}

// === impl Format ===

impl Format {
    /// Its name, for the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Structured => "cloudevents-structured",
            Self::Binary => "cloudevents-binary",
        }
    }

    /// What has this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Standard, Self::Structured, Self::Binary]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}
