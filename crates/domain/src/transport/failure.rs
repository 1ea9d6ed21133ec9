//! What a failed TLS connection means: whose fault it is, whether to try again, and what to do.
//!
//! **Invariant:** a closed list; its names are metric labels and part of the API. Alerts have the
//! names of RFC 9846 §6.

use crate::delivery::outcome::{Again, Fault};

macro_rules! failures {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal, $fault:ident, $again:ident,
        $advice:literal;)+) => {
        /// Why no TLS session came about that anything may be sent on, or why the receiver ended
        /// it.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum TlsFailure {
            $($(#[doc = $doc])+ $name,)+
        }

        impl TlsFailure {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Stable name, for metrics, logs and the API.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self {
                    $(Self::$name => Fault::$fault,)+
                }
            }

            /// Whether and how soon another attempt makes sense.
            pub const fn again(self) -> Again {
                match self {
                    $(Self::$name => Again::$again,)+
                }
            }

            /// What to do, for people.
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$name => $advice,)+
                }
            }
        }
    };
}

failures! {
    /// The receiver's certificate, or one it was issued by, has expired.
    PeerExpired = "peer_expired", Receiver, Later,
        "The receiver has to install a current certificate.";
    /// The receiver's certificate is not valid yet.
    PeerNotYetValid = "peer_not_yet_valid", Receiver, Later,
        "The receiver has to install a certificate that is valid now, or a clock is wrong.";
    /// The receiver's certificate is for other names.
    PeerWrongName = "peer_wrong_name", Receiver, Later,
        "The receiver needs a certificate for the host of the URL, or the transport policy has to \
         say serverName.";
    /// The receiver's certificate was issued by itself.
    PeerSelfSigned = "peer_self_signed", Receiver, Later,
        "Put the CA of the receiver's certificate into a trust anchor set, or let the receiver \
         install a certificate of a CA.";
    /// An intermediate certificate was not sent.
    PeerIntermediateMissing = "peer_intermediate_missing", Receiver, Later,
        "The receiver has to send its whole chain: its own certificate followed by the \
         intermediate ones.";
    /// The chain leads to no root that is trusted.
    PeerUnknownIssuer = "peer_unknown_issuer", Receiver, Later,
        "Compare the issuer with the roots of the transport policy; add the receiver's CA to its \
         trust anchor set if it is meant to be trusted.";
    /// A public CA's certificate where only private roots count.
    PeerPublicCa = "peer_public_ca", Receiver, Later,
        "The policy trusts private roots only: the receiver has to show the certificate of the \
         private CA, or the policy has to trust public roots too.";
    /// The trust anchor itself has expired.
    AnchorExpired = "anchor_expired", Us, Later,
        "Replace the expired root in the trust anchor set.";
    /// The receiver's certificate is not for servers.
    PeerWrongPurpose = "peer_wrong_purpose", Receiver, Later,
        "The receiver needs a certificate whose extended key usage lists serverAuth.";
    /// A CA's own certificate shown as a server's, or a chain that breaks a CA's constraints.
    PeerBadPath = "peer_bad_path", Receiver, Later,
        "The receiver's chain breaks a rule of RFC 5280; its CA has to issue it anew.";
    /// A key that is too weak.
    PeerWeakKey = "peer_weak_key", Receiver, Later,
        "The receiver needs a key of at least 2048 bits (RSA) or a curve of at least 256 bits.";
    /// A signature algorithm that is broken (SHA-1, MD5) or unknown.
    PeerWeakSignature = "peer_weak_signature", Receiver, Later,
        "The receiver's CA has to sign with SHA-256 or better.";
    /// A signature that does not match.
    PeerBadSignature = "peer_bad_signature", Receiver, Later,
        "The receiver's chain is forged or mixed up; it has to install the chain anew.";
    /// Certificates that can't be read, or too much of them.
    PeerMalformed = "peer_malformed", Receiver, Later,
        "The receiver's certificates can't be read; its CA has to issue them anew.";
    /// A key that is known to be in wrong hands.
    PeerDistrusted = "peer_distrusted", Receiver, Later,
        "The receiver needs a certificate with a new key.";
    /// Revoked by its CA.
    PeerRevoked = "peer_revoked", Receiver, Later,
        "The receiver has to install a certificate that was not revoked.";
    /// Revocation is to be known for certain and is not, now: a list or responder that can't be
    /// reached may be back soon.
    RevocationUnknown = "revocation_unknown", Receiver, Soon,
        "If this repeats, find out why neither revocation list nor OCSP answer can be had, or set \
         revocation to soft.";
    /// The certificate demands a stapled OCSP answer and none came. Servers that fetch it only
    /// when they need it (nginx) have none at first.
    StapleMissing = "staple_missing", Receiver, Soon,
        "If this repeats, the receiver has to switch OCSP stapling on: its certificate demands it \
         (RFC 7633). Some servers have nothing to staple just after a restart.";
    /// The stapled OCSP answer proves nothing: a server may still staple its last one while it
    /// fetches the next.
    StapleInvalid = "staple_invalid", Receiver, Soon,
        "If this repeats, the receiver has to fetch a new OCSP answer: the one that it staples is \
         stale or not of its CA.";
    /// No pinned key in the verified path.
    PinMismatch = "pin_mismatch", Receiver, Later,
        "Ask the receiver whether it changed its key. If it did, add the new key's pin; if it did \
         not, somebody else answers in its place.";
    /// The receiver speaks only versions that are too old.
    VersionTooLow = "version_too_low", Receiver, Later,
        "The receiver has to enable the TLS version that the policy demands, or the policy has to \
         allow a lower one.";
    /// No key exchange or cipher suite in common.
    NothingInCommon = "nothing_in_common", Receiver, Later,
        "Compare the key-exchange groups of the policy with those of the receiver; suites need \
         forward secrecy and AEAD.";
    /// What the receiver sent is not TLS.
    NotTls = "not_tls", Receiver, Later,
        "The port does not speak TLS; compare it with the URL.";
    /// The session was ended by broken records.
    Broken = "broken", Network, Soon,
        "Something between here and the receiver alters the bytes, or its TLS is faulty.";
    /// Alert: the receiver demands a client certificate and got none.
    CertificateRequired = "certificate_required", Us, Later,
        "Assign a client identity to the endpoint that the receiver knows.";
    /// Alert: the receiver does not know the CA of our client certificate.
    UnknownCa = "unknown_ca", Us, Later,
        "The receiver has to trust the CA of our client certificate, or the endpoint needs another \
         client identity.";
    /// Alert: our client certificate has expired.
    CertificateExpired = "certificate_expired", Us, Later,
        "Renew our client certificate.";
    /// Alert: our client certificate was revoked.
    CertificateRevoked = "certificate_revoked", Us, Later,
        "Replace our client certificate.";
    /// Alert: our client certificate is not accepted.
    BadCertificate = "bad_certificate", Us, Later,
        "The receiver can't use our client certificate: compare its CA, its purpose (clientAuth) \
         and its names with what the receiver demands.";
    /// Alert: our client certificate is of an unsupported kind.
    UnsupportedCertificate = "unsupported_certificate", Us, Later,
        "Our client certificate has a key or a purpose that the receiver does not support.";
    /// Alert: something else is wrong with our client certificate.
    CertificateUnknown = "certificate_unknown", Us, Later,
        "Ask the receiver what it found wrong with our client certificate.";
    /// Alert: our client certificate is fine but not allowed.
    AccessDenied = "access_denied", Us, Later,
        "The receiver has to allow our client certificate's name.";
    /// Alert: the receiver could not agree with us; TLS 1.2 servers say so when a client
    /// certificate is missing, too.
    HandshakeFailure = "handshake_failure", Receiver, Later,
        "If the receiver demands a client certificate, assign one; otherwise compare key-exchange \
         groups and suites.";
    /// Alert: the name in SNI is unknown to the receiver.
    UnrecognizedName = "unrecognized_name", Receiver, Later,
        "The receiver does not serve this host name; compare the URL or the policy's serverName.";
    /// Alert: something went wrong within the receiver (internal_error), or it gave up for reasons
    /// of its own (user_canceled). Neither says anything of us.
    PeerTrouble = "peer_trouble", Receiver, Soon,
        "If this repeats, look into the receiver's own log: some servers also say so where they \
         have no certificate for the host name.";
    /// Another alert.
    OtherAlert = "other_alert", Receiver, Later,
        "The receiver ended the session; its own log says why.";
    /// The receiver demands a client certificate and closed the connection without a word, which
    /// is how some refuse one.
    ClosedWithoutAlert = "closed_without_alert", Network, Soon,
        "If this repeats, the receiver refuses our client certificate without saying so (some \
         versions of Node.js do): compare its CA and its dates.";
    /// HTTP 400 (nginx): a client certificate is demanded.
    HttpNoCertificate = "http_no_certificate", Us, Later,
        "The receiver (nginx) demands a client certificate: assign a client identity.";
    /// HTTP 400 (nginx): our client certificate is not accepted.
    HttpCertificateRejected = "http_certificate_rejected", Us, Later,
        "The receiver (nginx) does not accept our client certificate: compare its CA and its \
         dates.";
    /// The receiver asks for a certificate in a way that TLS 1.3 and we don't support.
    RenegotiationDemanded = "renegotiation_demanded", Receiver, Later,
        "The receiver asks for a certificate after the handshake (renegotiation); it has to ask \
         during the handshake.";
    /// No handshake came to its end: no name, no address that may be connected to, no connection,
    /// or not in time. Only where somebody looked: an attempt has its own words for these.
    NotReached = "not_reached", Network, Soon,
        "Mend the connection first: there was no TLS to look at.";
    /// The policy can't be applied.
    PolicyUnusable = "policy_unusable", Us, Later,
        "Mend the endpoint's transport policy.";
    /// Our client certificate can't be presented: none is valid now, or its key can't be used.
    IdentityUnusable = "identity_unusable", Us, Later,
        "Install a client certificate that is valid now, with its key.";
    /// The proxy refuses by its rules, or does not accept us.
    ProxyRefused = "proxy_refused", Us, Later,
        "The operator's proxy refuses the connection; look into its rules and our credentials.";
    /// The proxy can't be reached or does not speak its protocol.
    ProxyUnreachable = "proxy_unreachable", Network, Soon,
        "The operator's proxy can't be reached.";
}

impl TlsFailure {
    /// Reads a stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }

    /// Whether the same handshake would fail again: people have to mend something first.
    pub fn is_deterministic(self) -> bool {
        self.again() == Again::Later
    }

    /// Whether the receiver refused the client certificate that we showed, so that another one of
    /// the same identity may be tried.
    pub const fn refuses_our_certificate(self) -> bool {
        matches!(
            self,
            Self::UnknownCa
                | Self::CertificateExpired
                | Self::CertificateRevoked
                | Self::BadCertificate
                | Self::UnsupportedCertificate
                | Self::CertificateUnknown
                | Self::AccessDenied
                | Self::HttpCertificateRejected
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for one in TlsFailure::ALL {
            assert_eq!(TlsFailure::parse(one.as_str()), Some(*one));
            assert!(one.advice().ends_with('.'));
        }
        assert_eq!(TlsFailure::parse("nothing"), None);
    }

    /// What may have mended itself by the next attempt never pauses an endpoint.
    #[test]
    fn what_passes_is_not_deterministic() {
        for one in [
            TlsFailure::RevocationUnknown,
            TlsFailure::StapleMissing,
            TlsFailure::StapleInvalid,
            TlsFailure::PeerTrouble,
            TlsFailure::ClosedWithoutAlert,
            TlsFailure::ProxyUnreachable,
        ] {
            assert!(!one.is_deterministic(), "{}", one.as_str());
        }
        for one in [
            TlsFailure::PeerRevoked,
            TlsFailure::OtherAlert,
            TlsFailure::ProxyRefused,
        ] {
            assert!(one.is_deterministic(), "{}", one.as_str());
        }
    }
}
