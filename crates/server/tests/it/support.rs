//! What the tests of this crate share. Must never know what a single test is about.

pub(crate) mod attempt;
pub(crate) mod load;
pub(crate) mod peer;

use std::path::Path;

use hookseal_testkit::world::WorldSetup;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hookseal"))
}

/// A world around the binary under test.
pub(crate) fn world() -> WorldSetup<'static> {
    WorldSetup::new(binary())
}
