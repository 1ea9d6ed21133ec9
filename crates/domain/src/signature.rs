//! Proof of the sender: the headers that every receiver can check.

pub mod key;
pub mod standard;
