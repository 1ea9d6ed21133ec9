//! Strangers' bytes to certificates to findings. No IO, no clock.
