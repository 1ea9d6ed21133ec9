//! Chains that must pass and chains that must not, made by a certificate authority on the spot.
#![expect(clippy::unwrap_used, reason = "test code")]

mod anchors;
mod authority;
mod bundles;
mod chains;
mod hostile;
mod identities;
mod openssl;
mod pins;
mod pkcs12;
mod rules;
mod weak;
