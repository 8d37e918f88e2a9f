//! `ccpd host` and `ccpd hook`: what the pool starts, and what claude's hooks and its status line run there. Nobody types them, so they are told
//! before any parser is started: a hook is waited for by claude, and a host is to stay small.

use super::statusline::of_slot;
use crate::contract::{exit, vars};
use crate::host;
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs the command if it is one of the two: its exit code.
#[must_use]
pub fn early() -> Option<u8> {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next()?;
    let rest: Vec<OsString> = arguments.collect();
    if command == "hook" {
        if rest.first().is_some_and(|word| word == "statusline") {
            return Some(of_slot::run(std::io::stdin().lock(), std::io::stdout()));
        }
        host::hook::run(std::io::stdin().lock());
        // Whatever happened: a hook that fails would be shown to the person, and to the model.
        return Some(exit::OK);
    }
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
