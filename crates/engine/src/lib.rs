//! Work that happens without a request.
