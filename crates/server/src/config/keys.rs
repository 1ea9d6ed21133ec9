//! Settings of the key that seals the store.

use std::path::PathBuf;

use crate::config::section::section;

section! {
    /// The key that seals payloads, responses, header values and secrets in the store.
    pub struct KeysSection in "keys" {
        /// File with the master key: the base64 of 32 bytes, readable by its owner only. Without
        /// it nothing in the store can be read: keep a copy apart from the store's. Absent:
        /// `master.key` in the data directory, which is made at the first start.
        master_key_file: Option<PathBuf>, such as "secrets/master.key";
    }
}
