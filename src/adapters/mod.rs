//! One room per outside thing. The rooms do not know each other; `files` and `clock` are the floor they stand on.

#[cfg(feature = "full")]
pub mod simulated;
