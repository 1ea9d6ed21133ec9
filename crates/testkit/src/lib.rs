//! Tests only: worlds, fake endpoints, certificate authorities.
