//! `ccp select`: a pick for somebody else, printed as the account's directory; with `--wait`, once there is headroom.

mod wait;

use super::arguments::Select;
use super::background;
use super::context::{Context, ContextError};
use super::failure::{Failure, Outcome};
use super::reserve::{self, Wanted};
use crate::claim::Claim;
use crate::claim::roster::Roster;
use crate::contract::exit;
use crate::contract::paths::NOWHERE;
use crate::contract::record::ranking;
use serde_json::json;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;

/// Runs `ccp select`. Where it fails it prints what claude cannot take for a directory, unless JSON is wanted.
pub fn run(context: Result<Context, ContextError>, arguments: &Select) -> Outcome {
    let outcome = context
        .map_err(Failure::from)
        .and_then(|context| choose(&context, arguments));
    if outcome.is_err() && !arguments.json {
        print_nowhere();
    }
    outcome
}

/// Prints [`NOWHERE`], which only a program that reads the output needs.
pub fn print_nowhere() {
    let mut stdout = io::stdout();
    if !stdout.is_terminal() {
        // Where nothing can be printed nothing is read either.
        let _ = writeln!(stdout, "{NOWHERE}");
    }
}

fn choose(context: &Context, arguments: &Select) -> Outcome {
    let wanted = Wanted {
        account: arguments.account.as_deref(),
        command: "select",
    };
    if !arguments.no_daemon {
        // Why none was started, where none was, concerns nobody here.
        let _ = background::start(context);
    }
    wait::freshen(context, arguments.fresh, !arguments.no_daemon);
    let (roster, claimed) = if arguments.wait {
        wait::until_headroom(context, &wanted, arguments.fresh, !arguments.no_daemon)?
    } else {
        reserve::take(context, &wanted)?
    };
    reserve::announce(&roster, &claimed, crate::adapters::clock::now());
    let text = if arguments.json {
        as_json(&roster, &claimed).into_bytes()
    } else {
        let mut line = claimed.account.dir.as_os_str().as_bytes().to_vec();
        line.push(b'\n');
        line
    };
    io::stdout()
        .write_all(&text)
        .map_err(|e| Failure::new(format!("cannot print the directory: {e}")))?;
    Ok(exit::OK)
}

/// The pick for programs: the account, why, and what it was chosen from.
fn as_json(roster: &Roster, claimed: &Claim) -> String {
    let (pick, account) = (&claimed.choice.pick, &claimed.account);
    let snapshot = &roster.snapshot;
    let label_of = |id| crate::claim::label_of(snapshot, id);
    let record = crate::contract::record::PinRecord::of(pick.pin);
    let value = json!({
        "schema": 1,
        "id": pick.id.to_string(),
        "label": account.label,
        "email": account.email,
        "config_dir": account.dir.to_string_lossy(),
        "reason": pick.reason.name(),
        "fallback": !pick.assessment().available(),
        "pin": record,
        "rule": claimed.choice.rule.as_ref().map(|rule| rule.record(snapshot)),
        "score": pick.assessment().score,
        "ranking": ranking(&pick.ranking, &claimed.choice.candidates, label_of),
    });
    format!("{value}\n")
}
