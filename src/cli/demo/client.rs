//! A pretend `claude`, for `ccp demo` and for fast tests: the same files, the same commands, a simulated service.
//!
//! It knows how Claude Code behaves towards `ccp` (logins, usage probe, sessions, transcripts, hooks) and nothing of
//! `ccp` itself. It talks to the service named by `CCP_SIMULATED_SERVICE`, on loopback, and to nothing else. Its login
//! is in `$CLAUDE_CONFIG_DIR`, in the real client's file formats; arguments it does not know are ignored.

mod arguments;
mod auth;
mod conversation;
mod files;
mod hooks;
mod interactive;
mod keys;
mod login;
mod mcp;
mod print;
mod registry;
mod stream;
mod turn;
mod usage;
mod world;

#[cfg(test)]
mod tests;

use crate::adapters::procs::pipes::survive_broken_pipes;
use std::ffi::OsString;

use arguments::{Arguments, Command};
use world::World;

/// The version it claims: the one whose behaviour it imitates.
pub const VERSION: &str = "2.1.329";

/// Runs the pretend client with the arguments after its name, and returns its exit code.
#[must_use]
pub fn run(args: &[OsString]) -> u8 {
    let words: Vec<String> = args
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (command, arguments) = arguments::parse(&words);
    if matches!(command, Command::Version) {
        world::say(&format!("{VERSION} (Claude Code)"));
        return 0;
    }
    match World::from_environment() {
        Ok(world) => dispatch(&world, &command, &arguments),
        Err(problem) => {
            world::complain(&problem.to_string());
            1
        }
    }
}

fn dispatch(world: &World, command: &Command, arguments: &Arguments) -> u8 {
    // A hook may end before it has read its report.
    survive_broken_pipes();
    match command {
        Command::Version => 0,
        Command::Auth(words) => auth::run(world, words),
        Command::Mcp(words) => mcp::run(world, words),
        Command::Session if arguments.print && arguments.streams_input() => {
            stream::run(world, arguments)
        }
        Command::Session if arguments.print => print::run(world, arguments),
        Command::Session => interactive::run(world, arguments),
    }
}
