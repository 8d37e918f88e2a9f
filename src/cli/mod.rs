//! The command line of `ccpd`: one file per command.

/// Runs the command that the process was given; the result is the exit code.
#[must_use]
pub fn main() -> u8 {
    0
}
pub mod demo;
