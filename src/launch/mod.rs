//! The hot path: from the first word of the command line to `execve`.
//!
//! A launch reads the snapshot and the leases, writes one lease, looks at a few directory times, and becomes claude. It
//! repairs nothing itself: an overlay that has drifted is put in order by `ccpd sync`, awaited for a bounded time.

mod arguments;
mod background;
mod child;
mod environment;
mod execute;
mod overlay;
mod place;
mod run;
mod select;
mod settings;

pub use arguments::{Arguments, Job};
pub use environment::Environment;

use crate::claim::announce::Failure;
use crate::contract::exit;
use std::ffi::CStr;
use std::io::Write as _;

/// Does what the command line of `ccp` asks for: launches, prints a selection, or becomes `ccpd`. Returns only when it
/// could not become another program, or had none to become: with the exit code.
#[must_use]
pub fn main(arguments: &Arguments, environment: &Environment) -> u8 {
    match arguments.job() {
        Job::Run { first } => run::run(arguments, first, environment),
        Job::Select { account } => select::select(arguments, account.as_deref(), environment),
        Job::HandOver => hand_over(arguments, environment),
    }
}

/// What `ccpd` calls for the jobs that are the launcher's; none for any other.
#[must_use]
pub fn try_launch(arguments: &Arguments, environment: &Environment) -> Option<u8> {
    match arguments.job() {
        Job::Run { first } => Some(run::run(arguments, first, environment)),
        Job::Select { .. } | Job::HandOver => None,
    }
}

/// Becomes the sibling executable `ccpd` with the same arguments and environment.
fn hand_over(arguments: &Arguments, environment: &Environment) -> u8 {
    let sibling = match child::sibling() {
        Ok(path) => path,
        Err(failure) => return stranded(arguments, &failure),
    };
    let name = arguments.pool_name().unwrap_or(c"ccpd");
    let error = execute::replace(&sibling, name, arguments.tail(1), &environment.all());
    stranded(arguments, &child::missing_sibling(&sibling, &error))
}

/// There is no `ccpd` to become.
fn stranded(arguments: &Arguments, failure: &Failure) -> u8 {
    let mut words = arguments.texts(1);
    if words.next() == Some("select") && !words.any(|word| word == "--json") {
        select::print_nowhere();
    }
    fail(exit::FAILURE, failure)
}

fn fail(code: u8, failure: &Failure) -> u8 {
    say(&format!("error: {}", failure.error));
    if !failure.hint.is_empty() {
        say(&format!("hint: {}", failure.hint));
    }
    code
}

/// One line on stderr. Where stderr is closed nothing is written: the descriptor may be a file of ours by then.
fn say(line: &str) {
    if execute::is_open(2) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The text of an argument or variable, for comparing with what we know; none for what is not UTF-8.
fn text(value: &CStr) -> Option<&str> {
    value.to_str().ok()
}
