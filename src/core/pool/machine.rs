//! The pool machine.

/// The most slots a pool can have: each is a claude of about a quarter of a gigabyte.
pub const MAX_SIZE: u32 = 1000;
