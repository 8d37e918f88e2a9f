//! `ccp select` without further options: a claim for somebody else, printed. With numbers too old to go by, or any
//! further option, it is `ccpd`'s.

use super::environment::Environment;
use super::{Arguments, fail, hand_over, overlay, say};
use crate::adapters::clock;
use crate::claim::announce::{self, Failure};
use crate::claim::roster::{self, Origin};
use crate::claim::{Claimant, Wish, claim, model};
use crate::contract::{exit, vars};
use crate::core::select::score::is_stale;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

pub(super) fn select(arguments: &Arguments, account: Option<&str>, environment: &Environment) -> u8 {
    let user_home = environment.user_home();
    let home = match environment.ccp_home(user_home.as_deref()) {
        Ok(home) => home,
        Err(error) => {
            let hint = "set HOME, or CCP_HOME to an absolute path".to_owned();
            return fail(exit::FAILURE, &Failure { error, hint });
        }
    };
    let user_home = user_home.unwrap_or_else(|| home.path().to_owned());
    let now = clock::now();
    let roster = roster::load(&home, &user_home);
    let snapshot = &roster.snapshot;
    let fresh = roster.origin == Origin::Published
        && !snapshot.accounts.iter().any(|a| is_stale(&a.freshness(snapshot.paused_since_ms), now));
    if !fresh {
        return hand_over(arguments, environment);
    }
    let cwd = std::env::current_dir().unwrap_or_default();
    let variable = environment.get_text(vars::ANTHROPIC_MODEL);
    let model =
        model::matters(snapshot).then(|| model::find([], variable, &cwd, &snapshot.base())).flatten();
    let wish = Wish {
        account: account.or_else(|| environment.get_text(vars::CCP_ACCOUNT)),
        model: model.as_deref(),
        cwd: &cwd,
        command: "select",
        claude: None,
    };
    let claimed = match claim(&home, &roster, &wish, Claimant::Reservation, now) {
        Ok(claimed) => claimed,
        Err(refusal) => return fail(refusal.exit_code(), &announce::refusal(&refusal)),
    };
    overlay::ensure(&roster, &claimed.account).iter().for_each(|line| say(line));
    announce::lines(&roster, &claimed, now).iter().for_each(|line| say(line));
    let mut line = claimed.account.dir.as_os_str().as_bytes().to_vec();
    line.push(b'\n');
    match std::io::stdout().write_all(&line) {
        Ok(()) => exit::OK,
        Err(error) => {
            let error = format!("cannot print the directory: {error}");
            fail(exit::FAILURE, &Failure { error, hint: String::new() })
        }
    }
}
