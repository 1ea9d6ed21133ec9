//! What is demanded of endpoints before anything is sent to them.

use hookseal_domain::endpoint::verification::{Demand, Origin};
use hookseal_engine::config::VerificationConfig;

use crate::config::public_url::PublicUrl;
use crate::config::section::section;
use crate::config::value::Scalar;

/// Where a verification is answered later; its text is added.
pub(crate) const CALLBACK_PATH: &str = "/api/v1/verification/";

section! {
    /// What is demanded of endpoints before anything is sent to them.
    pub struct EndpointsSection in "endpoints" {
        /// Whether nothing is sent to an endpoint before its receiver has said that it wants it.
        /// What is published meanwhile waits, as for a disabled endpoint. A new URL has to be
        /// verified anew.
        require_verification: bool = "false";
        /// Who asks in the handshake of CloudEvents: a DNS name that stands for all of the sending
        /// system. The host of `server.public_url` if not given; without both there is no such
        /// handshake.
        verification_origin: Option<Origin>, such as "hooks.example.com";
    }
}

// === impl EndpointsSection ===

impl EndpointsSection {
    /// For the engine.
    pub fn verification(&self, public_url: Option<&PublicUrl>) -> VerificationConfig {
        let host = || public_url.and_then(PublicUrl::name);
        VerificationConfig {
            demand: if self.require_verification {
                Demand::Verified
            } else {
                Demand::None
            },
            origin: self.verification_origin.clone().or_else(host),
            callback_url: public_url.map(|url| format!("{url}{CALLBACK_PATH}")),
        }
    }
}

impl Scalar for Origin {
    const FORM: &'static str = "a DNS name such as hooks.example.com";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_says_who_asks_unless_somebody_else_is_named() {
        let section = |origin: Option<&str>| EndpointsSection {
            require_verification: true,
            verification_origin: origin.map(|name| Origin::parse(name).unwrap()),
        };
        let origin = |section: EndpointsSection, url: Option<&str>| {
            let url = url.map(|url| <PublicUrl as Scalar>::parse(url).unwrap());
            let config = section.verification(url.as_ref());
            assert_eq!(config.demand, Demand::Verified);
            let origin = config.origin.map(|origin| origin.to_string());
            (origin, config.callback_url)
        };
        assert_eq!(origin(section(None), None), (None, None));
        let url = "https://Hooks.example:8443/base/";
        let callback = "https://hooks.example:8443/base/api/v1/verification/".to_owned();
        assert_eq!(
            origin(section(None), Some(url)),
            (Some("hooks.example".to_owned()), Some(callback.clone()))
        );
        assert_eq!(
            origin(section(Some("all.example")), Some(url)),
            (Some("all.example".to_owned()), Some(callback))
        );
        assert_eq!(origin(section(None), Some("http://[::1]:1")).0, None);
    }
}
