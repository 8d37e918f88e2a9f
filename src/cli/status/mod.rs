//! `ccp status`: the accounts on a full screen, as a table, or as JSON; three views of one document.

mod pools;
mod source;
mod watch;

use super::arguments::{Login, Status as Arguments};
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::{login, refresh};
use crate::contract::exit;
use crate::core::account::AccountId;
use crate::daemon::refresh::Which;
use crate::tui::draw::Look;
use crate::tui::screen::{self, Services};
use crate::tui::{pools::pool_table, rows::Moment, table::table, times};
use source::Source;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// Runs `ccp status`.
pub fn run(context: &Context, arguments: &Arguments) -> Outcome {
    if arguments.json && arguments.watch {
        let failure = Failure::new("--watch prints tables, not JSON");
        return Err(failure
            .hint("leave --json or --watch away")
            .code(exit::USAGE));
    }
    if arguments.live {
        if let Err(failure) = refresh::sample_all(context) {
            // What is known already is still worth seeing; its age is shown with it.
            eprintln!("warning: {}", failure.error);
        }
    } else {
        take_in(context);
    }
    let terminal = io::stdout().is_terminal();
    let source = Source::new(context);
    if arguments.json {
        return json(context, &source);
    }
    if terminal && io::stdin().is_terminal() && !arguments.plain {
        return full_screen(context, source);
    }
    let zone = times::local_zone();
    let colour = terminal && may_colour();
    if arguments.watch {
        return watch::run(&source, &context.home.snapshot(), &zone, colour);
    }
    let moment = source.look();
    tell(&moment);
    let mut text = String::new();
    if !moment.status.accounts.is_empty() {
        text = table(&moment, &zone, colour);
    }
    let pools = pool_table(&pools::ask(context), moment.now, &zone);
    if !text.is_empty() && !pools.is_empty() {
        text.push('\n');
    }
    print(&(text + &pools))
}

/// Signs an account in again on this terminal; the result is for the person.
fn sign_in(context: &Context, id: AccountId) -> Result<String, String> {
    let arguments = Login {
        account: id.to_string(),
        run_login: true,
    };
    login::run(context, &arguments)
        .map(|_| format!("{id} is signed in"))
        .map_err(|failure| failure.error)
}

/// Takes in what sessions have reported since. A home that cannot be written shows what was published last.
fn take_in(context: &Context) {
    if let Ok(Some(mut store)) = context.existing_store() {
        let _ = refresh::sample(context, &mut store, Which::Nobody, Duration::ZERO);
    }
}

fn json(context: &Context, source: &Source) -> Outcome {
    let mut moment = source.look();
    warn(&moment);
    moment.status.pools = Some(pools::ask(context));
    let text = serde_json::to_string_pretty(&moment.status).map_err(Failure::new)?;
    print(&format!("{text}\n"))
}

fn full_screen(context: &Context, mut source: Source) -> Outcome {
    let look = Look {
        zone: times::local_zone(),
        colour: may_colour(),
    };
    let cwd = source.cwd().clone();
    let (sampling, pinning, login) = (context.clone(), context.clone(), context.clone());
    let asking = context.clone();
    let services = Services {
        look: Box::new(move || {
            let mut moment = source.look_closely();
            moment.status.pools = Some(pools::ask(&asking));
            moment
        }),
        refresh: Arc::new(move || refresh::sample_all(&sampling).map_err(|f| f.error)),
        pin: Arc::new(move |wish| pin(&pinning, &cwd, wish)),
        login: Box::new(move |id| sign_in(&login, id)),
        snapshot: context.home.snapshot(),
    };
    screen::show(services, &look).map_err(|error| {
        Failure::new(format!("cannot use this terminal: {error}"))
            .hint("`ccp status --plain` prints a table")
    })
}

/// Pins the directory, or takes its pins back, and publishes that.
fn pin(
    context: &Context,
    dir: &std::path::Path,
    wish: Option<AccountId>,
) -> Result<String, String> {
    let change = || -> Result<String, Failure> {
        let mut store = context.open_store()?;
        let said = match wish {
            Some(id) => {
                store.pin(dir, id, crate::adapters::clock::now())?;
                let account = store.account(id)?;
                let label = account.map_or_else(|| id.to_string(), |a| a.label);
                format!("{} is now pinned to {label}", dir.display())
            }
            None => {
                store.unpin(dir)?;
                format!("{} is no longer pinned", dir.display())
            }
        };
        context.publish(&store)?;
        Ok(said)
    };
    change().map_err(|failure| failure.error)
}

/// Whether the person and the terminal want colours (no-color.org).
fn may_colour() -> bool {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// What stderr has to say about a look.
fn tell(moment: &Moment) {
    warn(moment);
    if moment.status.accounts.is_empty() {
        eprintln!("no accounts yet: `ccp add` signs one in");
    }
}

fn warn(moment: &Moment) {
    for problem in &moment.problems {
        eprintln!("warning: {problem}");
    }
}

/// To stdout. Whoever reads may have had enough: that is no failure.
fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(exit::OK),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit::OK),
        Err(error) => Err(Failure::new(format!("cannot print: {error}"))),
    }
}
