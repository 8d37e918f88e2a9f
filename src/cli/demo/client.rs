//! The pretend client.

use std::ffi::OsString;

/// Runs it.
#[must_use]
pub fn run(_args: &[OsString]) -> u8 {
    0
}
