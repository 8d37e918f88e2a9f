//! `ccpd host` and `ccpd hook`: what the pool starts and what claude's hooks run. Nobody types them, so they are told
//! before any parser is started: a hook is waited for by claude, and a host is to stay small.

use crate::contract::{exit, vars};
use crate::host;
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs the command if it is one of the two: its exit code.
#[must_use]
pub fn early() -> Option<u8> {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next()?;
    if command == "hook" {
        host::hook::run(std::io::stdin().lock());
        // Whatever happened: a hook that fails would be shown to the person, and to the model.
        return Some(exit::OK);
    }
    let rest: Vec<OsString> = arguments.collect();
    match (command.to_str(), rest.as_slice()) {
        (Some("host"), [option, dir]) if option == "--slot-dir" => Some(run(&PathBuf::from(dir))),
        _ => None,
    }
}

fn run(slot_dir: &std::path::Path) -> u8 {
    match host::run(slot_dir, owner()) {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("error: {error}");
            exit::FAILURE
        }
    }
}

/// The process with which a test wants the host to end.
fn owner() -> Option<u32> {
    let text = std::env::var_os(vars::CLAUDE_POOL_TEST_OWNER_PID)?;
    text.to_str()?.parse().ok()
}
