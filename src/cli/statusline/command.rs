//! The commands around the status line: running it, and putting it into the person's settings or out again.

use super::super::arguments::{Statusline, StatuslineAction};
use super::super::context::Context;
use super::super::failure::{Failure, Outcome};
use super::super::prompt::Prompt;
use super::super::refresh;
use super::{Surroundings, install};
use crate::contract::{exit, vars};
use std::ffi::OsStr;
use std::path::Path;

/// Runs `ccp statusline` and what follows it.
pub fn run(context: &Context, arguments: &Statusline) -> Outcome {
    match arguments.action {
        None => tee(context, arguments.wrap.as_deref()),
        Some(StatuslineAction::Install { yes }) => put_in(context, yes),
        Some(StatuslineAction::Remove { .. }) => take_out(context),
    }
}

fn tee(context: &Context, wrap: Option<&str>) -> Outcome {
    let config_dir = std::env::var_os(vars::CLAUDE_CONFIG_DIR);
    let pid = std::env::var_os(vars::CLAUDE_PID);
    let surroundings = Surroundings {
        home: &context.home,
        config_dir: config_dir.as_deref().map(Path::new),
        claude_pid: pid.and_then(|v| v.to_str()?.parse().ok()),
        wrap: wrap.map(OsStr::new),
        is_told: std::env::var_os(vars::CCP_STATUS_TOLD).is_some(),
        now: context.now,
    };
    let code = super::run(&surroundings, std::io::stdin(), std::io::stdout())
        .map_err(|e| Failure::new(format!("cannot pass the status line on: {e}")))?;
    refresh::take_in(context);
    Ok(code)
}

fn put_in(context: &Context, yes: bool) -> Outcome {
    let settings = context.base()?.settings();
    let mut declined = None;
    let confirm = |command: &str| {
        if yes {
            return true;
        }
        let asked = Prompt::open()
            .ok_or_else(|| {
                Failure::new("cannot ask: there is no terminal").hint("--yes asks nothing")
            })
            .and_then(|mut prompt| {
                prompt.say(&format!(
                    "{} will run this status line:\n  {command}",
                    settings.display()
                ));
                prompt.confirm("Change it?", true)
            });
        asked.unwrap_or_else(|failure| {
            declined = Some(failure);
            false
        })
    };
    let done = install::install(&settings, &context.home.statusline_record(), confirm);
    if let Some(failure) = declined {
        return Err(failure);
    }
    match done.map_err(Failure::new)? {
        install::Done::Changed => eprintln!("{} runs `ccp statusline` now", settings.display()),
        install::Done::Nothing => eprintln!("it is installed already"),
        install::Done::Declined => eprintln!("nothing was changed"),
    }
    Ok(exit::OK)
}

fn take_out(context: &Context) -> Outcome {
    let settings = context.base()?.settings();
    let done = install::remove(&settings, &context.home.statusline_record());
    match done.map_err(Failure::new)? {
        install::Done::Changed => eprintln!("{} is as it was before", settings.display()),
        install::Done::Nothing | install::Done::Declined => {
            eprintln!("there is nothing to take out")
        }
    }
    Ok(exit::OK)
}
