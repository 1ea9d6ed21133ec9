//! Unit tests of the back end.
