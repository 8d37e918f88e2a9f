//! The command line of `ccpd`: one file per command. Every command is a function from its arguments and a [`Context`] to
//! an exit code or a [`failure::Failure`]; stdout is data, stderr is talk.

pub mod accounts;
pub mod add;
pub mod alias;
pub mod arguments;
pub mod background;
pub mod claude;
pub mod completions;
pub mod config;
pub mod context;
pub mod continuing;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod env;
pub mod failure;
pub mod help;
pub mod hooks;
pub mod host;
pub mod init;
pub mod list;
pub mod login;
pub mod logs;
pub mod man;
pub mod mcp;
pub mod onboarding;
pub mod pin;
pub mod pool;
pub mod pool_skill;
pub mod prompt;
pub mod refresh;
pub mod remove;
pub mod rename;
pub mod reserve;
pub mod select;
pub mod service;
pub mod sessions;
mod settings_file;
mod settings_text;
pub mod sign_in;
pub mod status;
pub mod statusline;
pub mod sync;
pub mod why;

use crate::contract::exit;
use arguments::{Command, CommandLine};
use clap::Parser as _;
use context::Context;
use failure::{Failure, Outcome};
use std::ffi::CString;
use std::io::Write as _;

/// How a command line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Code(u8),
    /// The launcher goes on with this command line, program name included.
    Launch(Vec<CString>),
}

/// Runs the command that the process was given.
#[must_use]
pub fn main() -> End {
    if let Some(code) = host::early() {
        return End::Code(code);
    }
    match continuing::words(std::env::args_os()) {
        Some(Ok(words)) => End::Launch(words),
        Some(Err(failure)) => End::Code(failure.tell()),
        None => End::Code(command()),
    }
}

/// Runs any other command; the result is the exit code.
fn command() -> u8 {
    let outcome = match pool::called(std::env::args_os().collect()) {
        pool::Called::Client(Ok(pool)) => pool::run(&pool),
        // The exit codes of a pool's client are 0 and 1.
        pool::Called::Client(Err(error)) => return told(&error, exit::FAILURE),
        pool::Called::Ccp(arguments) => {
            let first = arguments.get(1);
            let is = |name: &str| first.is_some_and(|word| word == name);
            let mistake = if is("pool") {
                exit::FAILURE
            } else {
                exit::USAGE
            };
            let asks_for_directory = is("select");
            match CommandLine::try_parse_from(arguments) {
                Ok(line) => dispatch(line.command),
                Err(error) => {
                    if error.use_stderr() && asks_for_directory {
                        select::print_nowhere();
                    }
                    return told(&error, mistake);
                }
            }
        }
    };
    let code = outcome.unwrap_or_else(|failure| failure.tell());
    // Nobody else does it: the executable starts without Rust's own start-up, and ends without its clean-up.
    match std::io::stdout().flush() {
        Err(error) if code == exit::OK => {
            Failure::new(format!("cannot write the output: {error}")).tell()
        }
        _ => code,
    }
}

/// clap prints help and version to stdout and mistakes to stderr. Returns the exit code.
fn told(error: &clap::Error, mistake: u8) -> u8 {
    let _ = error.print();
    match error.exit_code() {
        0 => exit::OK,
        _ => mistake,
    }
}

fn dispatch(command: Option<Command>) -> Outcome {
    let context = Context::of_process;
    match command {
        None => {
            let context = context()?;
            onboarding::run(&context, || {
                status::run(&context, &arguments::Status::default())
            })
        }
        Some(Command::Add(arguments)) => add::run(&context()?, &arguments),
        Some(Command::Alias { action }) => alias::run(action, &context()?.user_home),
        Some(Command::Completions { shell }) => completions::run(shell),
        Some(Command::Config { action }) => config::run(&context()?, action.as_ref()),
        // Asked for help alone: `continuing::words` answered everything else.
        Some(Command::Continue { .. }) => help::run(Some("continue")),
        Some(Command::Daemon(arguments)) => daemon::run(&context()?, &arguments),
        Some(Command::Demo(arguments)) => demo::run(arguments.real),
        Some(Command::DemoClient { arguments }) => Ok(demo::stand_in(&arguments)),
        Some(Command::Doctor(arguments)) => doctor::run(&context()?, &arguments),
        Some(Command::Env(arguments)) => env::run(&context()?, &arguments),
        Some(Command::Help { topic }) => help::run(topic.as_deref()),
        Some(Command::Hooks { action }) => hooks::run(&context()?, action),
        Some(Command::Init(arguments)) => init::run(&context()?, &arguments),
        Some(Command::Login(arguments)) => login::run(&context()?, &arguments),
        Some(Command::List { json }) => list::run(&context()?, json),
        Some(Command::Logs(arguments)) => logs::run(&context()?.home, &arguments),
        Some(Command::Man { out }) => man::run(out.as_deref()),
        Some(Command::Mcp { pool }) => mcp::run(&pool),
        Some(Command::Pin { account, dir }) => pin::pin(&context()?, &account, dir.as_deref()),
        Some(Command::Pool(arguments)) => pool::run(&arguments),
        Some(Command::PoolDaemon(arguments)) => pool::daemon::run(&context()?, &arguments),
        Some(Command::Refresh { all, quiet }) => refresh::run(&context()?, all, quiet),
        Some(Command::Remove(arguments)) => remove::run(&context()?, &arguments),
        Some(Command::Rename(arguments)) => rename::run(&context()?, &arguments),
        Some(Command::Select(arguments)) => select::run(context(), &arguments),
        Some(Command::Service { action }) => service::run(&context()?, action),
        Some(Command::Status(arguments)) => status::run(&context()?, &arguments),
        Some(Command::Statusline(arguments)) => statusline::command::run(&context()?, &arguments),
        Some(Command::Sync(arguments)) => sync::run(&context()?, &arguments),
        Some(Command::Unpin { dir }) => pin::unpin(&context()?, dir.as_deref()),
        Some(Command::Why { number, json }) => why::run(&context()?, number, json),
        _ => Err(Failure::new("not built yet")),
    }
}
