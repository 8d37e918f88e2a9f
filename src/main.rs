//! `ccp`, the launcher: run and select are its own, everything else is handed to `ccpd`.
//!
//! Without Rust's start-up, which would ignore SIGPIPE and forget what was inherited: claude has to see the very signal
//! dispositions that a direct exec would have given it.
#![no_main]

use ccp::launch::{Arguments, Environment, main as launch};
use std::ffi::{c_char, c_int};

/// Called by the C library.
///
/// # Safety
/// `argv` has to point to `argc` C strings that live as long as the process; the C library sees to that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: this function's own promise, passed on.
    let arguments = unsafe { Arguments::new(argc, argv) };
    c_int::from(launch(&arguments, &Environment::read()))
}
