//! `ccp select` without further options: a claim for somebody else, printed. With numbers too old to go by it is
//! `ccpd`'s, which can fetch new ones.

use super::environment::Environment;
use super::place::Place;
use super::{Arguments, background, fail, hand_over, overlay, say};
use crate::claim::announce::{self, Failure};
use crate::claim::{Claimant, Wish, claim};
use crate::contract::paths::NOWHERE;
use crate::contract::{exit, vars};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt;

/// Fails, and prints what claude cannot take for a directory.
fn refuse(code: u8, failure: &Failure) -> u8 {
    print_nowhere();
    fail(code, failure)
}

/// Prints [`NOWHERE`], which only a program that reads the output needs.
pub(super) fn print_nowhere() {
    let mut stdout = std::io::stdout();
    if !stdout.is_terminal() {
        // Where nothing can be printed nothing is read either.
        let _ = writeln!(stdout, "{NOWHERE}");
    }
}

pub(super) fn select(
    arguments: &Arguments,
    account: Option<&str>,
    environment: &Environment,
) -> u8 {
    let place = match Place::find(environment) {
        Ok(place) => place,
        Err(failure) => return refuse(exit::FAILURE, &failure),
    };
    if !place.is_fresh() || place.roster.is_behind {
        return hand_over(arguments, environment);
    }
    let model = place.model([], environment);
    let wish = Wish {
        account: account.or_else(|| environment.get_text(vars::CCP_ACCOUNT)),
        model: model.as_deref(),
        cwd: &place.cwd,
        place: place.of_rules(environment),
        command: "select",
        claude: None,
    };
    let claimed = match claim(
        &place.home,
        &place.roster,
        &wish,
        Claimant::Reservation,
        place.now,
    ) {
        Ok(claimed) => claimed,
        Err(refusal) => return refuse(refusal.exit_code(), &announce::refusal(&refusal)),
    };
    overlay::ensure(&place.roster, &claimed)
        .iter()
        .for_each(|line| say(line));
    announce::lines(&place.roster, &claimed, place.now)
        .iter()
        .for_each(|line| say(line));
    let mut line = claimed.account.dir.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    let printed = std::io::stdout().write_all(&line);
    background::start_daemon_aside(&place, environment);
    match printed {
        Ok(()) => exit::OK,
        Err(error) => {
            let error = format!("cannot print the directory: {error}");
            fail(
                exit::FAILURE,
                &Failure {
                    error,
                    hint: String::new(),
                },
            )
        }
    }
}
