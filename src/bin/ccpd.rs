//! `ccpd`: every command, the launcher's included, so that one executable can do all of it.
#![no_main]

use ccp::cli::{self, End};
use ccp::contract::exit;
use ccp::launch::{Arguments, Environment, try_launch};
use std::ffi::{c_char, c_int};

/// Called by the C library.
///
/// # Safety
/// `argv` has to point to `argc` C strings that live as long as the process; the C library sees to that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: this function's own promise, passed on.
    let arguments = unsafe { Arguments::new(argc, argv) };
    let environment = Environment::read();
    let launched = try_launch(&arguments, &environment);
    c_int::from(launched.unwrap_or_else(|| match cli::main() {
        End::Code(code) => code,
        End::Launch(words) => {
            try_launch(&Arguments::made_of(words), &environment).unwrap_or(exit::FAILURE)
        }
    }))
}
