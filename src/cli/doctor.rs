//! `ccp doctor`: every check one line on stdout, or one JSON document.

use super::arguments::Doctor;
use super::claude;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::contract::exit;
use crate::doctor::{self, Examination, Surroundings, Verdict};
use std::env;
use std::fs;
use std::io::{self, Write as _};

/// Runs `ccp doctor`; 0 when no problem is left.
pub fn run(context: &Context, arguments: &Doctor) -> Outcome {
    let executable = env::current_exe().ok();
    let surroundings = Surroundings {
        home: context.home.clone(),
        user_home: context.user_home.clone(),
        now: context.now,
        claude: claude::find_claude(&context.user_home).map_err(|failure| failure.error),
        variables: env::vars_os().collect(),
        executable: executable.map(|path| fs::canonicalize(&path).unwrap_or(path)),
    };
    let examination = doctor::examine(&surroundings, arguments.fix);
    print(&examination, arguments.json)
        .map_err(|error| Failure::new(format!("cannot print: {error}")))?;
    if !arguments.json {
        eprintln!("{}", summary(&examination));
    }
    Ok(if examination.count(Verdict::Problem) == 0 {
        exit::OK
    } else {
        exit::FAILURE
    })
}

fn print(examination: &Examination, json: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        return writeln!(stdout, "{}", examination.json()?);
    }
    for result in &examination.results {
        writeln!(stdout, "{}", result.line())?;
    }
    Ok(())
}

fn summary(examination: &Examination) -> String {
    let problems = examination.count(Verdict::Problem);
    let notes = examination.count(Verdict::Note);
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let mut text = format!(
        "{problems} problem{}, {notes} note{}",
        s(problems),
        s(notes)
    );
    let fixable = examination.fixable();
    if fixable > 0 && !examination.fix {
        text.push_str(&format!("; `ccp doctor --fix` sees to {fixable} of them"));
    }
    text
}
