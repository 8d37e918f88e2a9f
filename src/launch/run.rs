//! `ccp run`: pick, announce, become claude.

use super::environment::{self, Environment};
use super::{Arguments, child, execute, fail, overlay, say};
use crate::adapters::claude_path::{self, Found, Search};
use crate::adapters::{clock, files, leases, procs};
use crate::claim::announce::{self, Failure};
use crate::claim::roster::{self, Origin, Roster};
use crate::claim::{Claimant, Wish, claim, model, release};
use crate::contract::paths::Home;
use crate::contract::record::PickRecord;
use crate::contract::{exit, vars};
use crate::core::select::score::is_stale;
use crate::core::time::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Launches claude with the arguments from `first` on. Returns an exit code only when that was not possible.
pub(super) fn run(arguments: &Arguments, first: usize, environment: &Environment) -> u8 {
    let user_home = environment.user_home();
    let home = match environment.ccp_home(user_home.as_deref()) {
        Ok(home) => home,
        Err(error) => {
            let hint = "set HOME, or CCP_HOME to an absolute path".to_owned();
            return fail(exit::FAILURE, &Failure { error, hint });
        }
    };
    let user_home = user_home.unwrap_or_else(|| home.path().to_owned());
    let claude = match find_claude(&home, &user_home, environment) {
        Ok(path) => path,
        Err(failure) => return fail(exit::NOT_FOUND, &failure),
    };
    let now = clock::now();
    let roster = roster::load(&home, &user_home);
    let cwd = std::env::current_dir().unwrap_or_default();
    let base = roster.snapshot.base();
    let variable = environment.get_text(vars::ANTHROPIC_MODEL);
    let model = model::matters(&roster.snapshot)
        .then(|| model::find(arguments.texts(first), variable, &cwd, &base))
        .flatten();
    let wish = Wish {
        account: environment.get_text(vars::CCP_ACCOUNT),
        model: model.as_deref(),
        cwd: &cwd,
        command: "run",
        claude: Some(&claude),
    };
    let claimed = match claim(&home, &roster, &wish, Claimant::ThisProcess, now) {
        Ok(claimed) => claimed,
        Err(refusal) => return fail(refusal.exit_code(), &announce::refusal(&refusal)),
    };
    let changed = environment.for_claude(&claimed.account.dir, &base, &roster.snapshot.keep_env);
    let mut lines = environment::remarks(environment, &home, &base);
    lines.extend(environment::removal_line(&changed.removed));
    if roster.snapshot.api_key_helper {
        lines.push("note: apiKeyHelper in your settings overrides this account's login".to_owned());
    }
    lines.extend(overlay::ensure(&roster, &claimed.account));
    lines.extend(announce::lines(&roster, &claimed, now));
    lines.iter().for_each(|line| say(line));
    refresh_aside(&home, &roster, now);
    let error = execute::replace(&claude, c"claude", arguments.tail(first), &changed.pointers());
    release(&home, &claimed);
    let failure = Failure {
        error: format!("cannot run {}: {error}", claude.display()),
        hint: "CCP_CLAUDE=/path/to/claude forces an executable".to_owned(),
    };
    fail(exit::NOT_FOUND, &failure)
}

fn find_claude(home: &Home, user_home: &Path, environment: &Environment) -> Result<PathBuf, Failure> {
    let own = child::own_executable();
    let sibling = own.as_ref().map(|path| {
        path.with_file_name(if path.ends_with("ccpd") { "ccp" } else { "ccpd" })
    });
    let own: Vec<PathBuf> = own.into_iter().chain(sibling).collect();
    let skip = wrappers_that_led_here(home);
    let search = Search {
        forced: environment.get(vars::CCP_CLAUDE).filter(|v| !v.is_empty()).map(Path::new),
        path: environment.get("PATH"),
        user_home: Some(user_home),
        npm_prefix: environment
            .get("npm_config_prefix")
            .or_else(|| environment.get("NPM_CONFIG_PREFIX"))
            .map(Path::new),
        own: &own,
        skip: &skip,
    };
    claude_path::find(&search).map(|Found { path }| path).map_err(|problem| Failure {
        error: problem.to_string(),
        hint: "install Claude Code, or set CCP_CLAUDE to its executable".to_owned(),
    })
}

/// A lease of this very process exists only when a launch of ours led back to us: what it executed is a wrapper around
/// ccp that could not be told by looking at it.
fn wrappers_that_led_here(home: &Home) -> Vec<PathBuf> {
    let Some(own) = procs::own_holder() else { return Vec::new() };
    let machine = procs::machine().hash;
    let dir = home.leases();
    let listing = leases::list(&dir).unwrap_or_default();
    let ours = listing.leases.iter().filter(|l| l.holder == own && l.machine == machine);
    ours.filter_map(|lease| {
        let bytes = std::fs::read(dir.join(lease.to_string())).ok()?;
        serde_json::from_slice::<PickRecord>(&bytes).ok()?.claude
    })
    .collect()
}

/// Between two background refreshes that launches start.
const REFRESH_GAP: Duration = Duration::from_secs(60);

/// Numbers that are too old, or a snapshot that cannot be read, are refreshed aside, for the next launch.
fn refresh_aside(home: &Home, roster: &Roster, now: Timestamp) {
    let snapshot = &roster.snapshot;
    let old = |a: &crate::contract::snapshot::AccountEntry| is_stale(&a.freshness(snapshot.paused_since_ms), now);
    let needed = roster.origin != Origin::Published || snapshot.accounts.iter().any(old);
    let attempted = std::fs::metadata(home.refresh_lock()).map(|m| files::modified_ns(&m) / 1_000_000);
    let recently = attempted.is_ok_and(|at| now.since(Timestamp::from_unix_ms(at)) < REFRESH_GAP);
    if !needed || recently {
        return;
    }
    if let Ok(ccpd) = child::sibling() {
        // What cannot be started is no reason to hold a launch up: the numbers stay old, and are shown with their age.
        let _ = child::start_aside(&ccpd, &["refresh", "--quiet"], Duration::ZERO);
    }
}
