//! `ccp completions SHELL`: made from the command line that clap reads.

use super::arguments::CommandLine;
use super::failure::{Failure, Outcome};
use crate::contract::exit;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use std::io::{self, Write as _};

/// Prints the script.
pub fn run(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    generate(shell, &mut CommandLine::command(), "ccp", &mut script);
    io::stdout()
        .write_all(&script)
        .map_err(|e| Failure::new(format!("cannot print the script: {e}")))?;
    Ok(exit::OK)
}
