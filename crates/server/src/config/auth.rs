//! Settings of who may use the API.

use std::path::PathBuf;

use hookseal_domain::secret::Secret;

use crate::config::section::section;

section! {
    /// How bearer tokens are verified. The algorithm of a token must fit one of the keys.
    pub struct AuthSection in "auth" {
        /// Secret of tokens that are signed with HS256, HS384 or HS512, which is what
        /// `hookseal token` makes; at least 32 random bytes are advised. Absent: the file
        /// `jwt.secret` in the data directory, which is made at the first start.
        jwt_secret: Option<Secret<String>>, such as "a long random text";
        /// PEM file with the public key of tokens that others sign with RS256, ES256 or EdDSA.
        /// Absent: no such token is accepted.
        jwt_public_key: Option<PathBuf>, such as "tls/jwt-public.pem";
    }
}
