//! Webhooks delivered sealed: signed, to verified servers, never lost.

fn main() {}
