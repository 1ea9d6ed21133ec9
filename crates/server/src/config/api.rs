//! Settings of the HTTP API.

use crate::config::section::section;

section! {
    /// How much one client may ask of the HTTP API; beyond it the API answers 429 with
    /// `Retry-After`.
    pub struct ApiSection in "api" {
        /// Requests per second with one token. Absent: as many as come.
        rate_per_token: Option<u32>, such as "200", from "1" to "1000000";
        /// Requests per second from one address (an IPv6 /64 counts as one). Absent: as many as
        /// come. Behind a proxy all requests come from the proxy's address.
        rate_per_address: Option<u32>, such as "500", from "1" to "1000000";
        /// How many requests may come at once before the rates count. Absent: as many as the rate
        /// allows in one second.
        rate_burst: Option<u32>, such as "1000", from "1" to "1000000";
    }
}
