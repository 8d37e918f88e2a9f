//! Exit codes of `ccp`. After a launch the exit code is claude's own.

/// All went well. An exhausted fallback, launched loudly, ends like this too.
pub const OK: u8 = 0;
/// Something failed; stderr has an `error:` line and, where a next step exists, a `hint:` line.
pub const FAILURE: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// No account can serve, or a rule forbids it.
pub const UNAVAILABLE: u8 = 69;
/// claude was not found, as shells report it.
pub const NOT_FOUND: u8 = 127;
/// Ended by Ctrl-C at a prompt, as shells report it.
pub const INTERRUPTED: u8 = 130;
