//! `ccp`, the launcher: run and select are its own, everything else is handed to `ccpd`.
//!
//! Without Rust's start-up, which would ignore SIGPIPE and forget what was inherited: claude has to see the very signal
//! dispositions that a direct exec would have given it.
#![no_main]

use ccp::launch::{Arguments, Environment, main as launch};
use std::ffi::{c_char, c_int};

/// Called by the C library.
#[unsafe(no_mangle)]
pub extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library passes `argc` strings that live as long as the process.
    let arguments = unsafe { Arguments::new(argc, argv) };
    c_int::from(launch(&arguments, &Environment::read()))
}
