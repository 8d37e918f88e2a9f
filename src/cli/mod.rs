//! The command line of `ccpd`: one file per command. Every command is a function from its arguments and a [`Context`] to
//! an exit code or a [`failure::Failure`]; stdout is data, stderr is talk.

pub mod arguments;
pub mod context;
pub mod demo;
pub mod failure;
pub mod list;
pub mod status;
pub mod why;

use arguments::{Command, CommandLine};
use clap::Parser as _;
use context::Context;
use failure::{Failure, Outcome};

/// Runs the command that the process was given; the result is the exit code.
#[must_use]
pub fn main() -> u8 {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(error) => {
            // clap prints help and version to stdout and mistakes to stderr, and knows the exit code of each.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    dispatch(command).unwrap_or_else(|failure| failure.tell())
}

fn dispatch(command: Option<Command>) -> Outcome {
    match command {
        Some(Command::DemoClient { arguments }) => Ok(demo::client::run(&arguments)),
        Some(Command::Status(arguments)) => status::run(&Context::of_process()?, &arguments),
        Some(Command::List { json }) => list::run(&Context::of_process()?, json),
        Some(Command::Why { number, json }) => why::run(&Context::of_process()?, number, json),
        _ => Err(Failure::new("not built yet")),
    }
}
