//! What the outside gives to the inside: time, randomness, signals. The only place that reads the
//! wall clock or draws random bits; everything else is handed them.

pub mod clock;
pub mod random;
pub mod signals;
