//! `ccp run`: pick, announce, become claude.

use super::environment::{self, Changed, Environment};
use super::place::Place;
use super::{Arguments, background, child, execute, fail, overlay, say, settings};
use crate::adapters::claude_path::{self, Search};
use crate::adapters::{leases, procs};
use crate::claim::announce::{self, Failure};
use crate::claim::{Claim, Claimant, Wish, claim, release};
use crate::contract::lease::LeaseName;
use crate::contract::paths::Home;
use crate::contract::record::PickRecord;
use crate::contract::{exit, vars};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Launches claude with the arguments from `first` on. Returns an exit code only when that was not possible.
pub(super) fn run(arguments: &Arguments, first: usize, environment: &Environment) -> u8 {
    let mut place = match Place::find(environment) {
        Ok(place) => place,
        Err(failure) => return fail(exit::FAILURE, &failure),
    };
    settings::ensure(&mut place)
        .iter()
        .for_each(|line| say(line));
    let claude = match find_claude(&place, environment) {
        Ok(path) => path,
        Err(failure) => return fail(exit::NOT_FOUND, &failure),
    };
    let model = place.model(arguments.texts(first), environment);
    let wish = Wish {
        account: environment.get_text(vars::CCP_ACCOUNT),
        model: model.as_deref(),
        cwd: &place.cwd,
        place: place.of_rules(environment),
        command: "run",
        claude: Some(&claude),
    };
    let claimed = match claim(
        &place.home,
        &place.roster,
        &wish,
        Claimant::ThisProcess,
        place.now,
    ) {
        Ok(claimed) => claimed,
        Err(refusal) => return fail(refusal.exit_code(), &announce::refusal(&refusal)),
    };
    let snapshot = &place.roster.snapshot;
    let changed =
        environment.for_claude(&claimed.account.dir, &snapshot.base(), &snapshot.keep_env);
    let sign_in = sign_in_note(arguments, first, &claimed.account.label);
    tell(&place, environment, &claimed, &changed, sign_in);
    if !refresh_aside(&place) {
        background::start_daemon_aside(&place, environment);
    }
    let error = execute::replace(
        &claude,
        c"claude",
        arguments.tail(first),
        &changed.pointers(),
    );
    release(&place.home, &claimed);
    let failure = Failure {
        error: format!("cannot run {}: {error}", claude.display()),
        hint: "CCP_CLAUDE=/path/to/claude forces an executable".to_owned(),
    };
    fail(exit::NOT_FOUND, &failure)
}

/// Puts the overlay in order and says what the person should know before claude takes over the terminal.
fn tell(
    place: &Place,
    environment: &Environment,
    claimed: &Claim,
    changed: &Changed,
    sign_in: Option<String>,
) {
    let mut lines = environment::remarks(environment, &place.home, &place.roster.snapshot.base());
    lines.extend(environment::removal_line(&changed.removed));
    if place.roster.snapshot.api_key_helper {
        lines.push("note: apiKeyHelper in your settings overrides this account's login".to_owned());
    }
    lines.extend(overlay::ensure(&place.roster, claimed));
    lines.extend(announce::lines(&place.roster, claimed, place.now));
    lines.extend(sign_in);
    lines.iter().for_each(|line| say(line));
}

/// Behind the alias, claude's own sign-in commands concern the account that was picked, which may not be who is meant.
fn sign_in_note(arguments: &Arguments, first: usize, label: &str) -> Option<String> {
    let mut words = arguments.texts(first);
    let command = match (words.next()?, words.next()) {
        ("auth", Some(what @ ("login" | "logout"))) => format!("auth {what}"),
        ("setup-token", _) => "setup-token".to_owned(),
        _ => return None,
    };
    Some(format!(
        "note: `{command}` is about {label} alone; `ccp login NAME` chooses, `command claude` is plain claude"
    ))
}

fn find_claude(place: &Place, environment: &Environment) -> Result<PathBuf, Failure> {
    let own: Vec<PathBuf> = child::own_executable()
        .map(|path| {
            ["ccp", "ccpd"]
                .map(|name| path.with_file_name(name))
                .to_vec()
        })
        .unwrap_or_default();
    let skip = wrappers_that_led_here(&place.home, environment);
    let prefixes = ["npm_config_prefix", "NPM_CONFIG_PREFIX"];
    let npm_prefixes: Vec<&OsStr> = prefixes
        .iter()
        .filter_map(|name| environment.get(name))
        .collect();
    let search = Search {
        forced: environment.get(vars::CCP_CLAUDE).filter(|v| !v.is_empty()),
        path: environment.get("PATH"),
        cwd: &place.cwd,
        user_home: Some(&place.user_home),
        npm_prefixes: &npm_prefixes,
        own: &own,
        skip: &skip,
    };
    claude_path::find(&search).map_err(|problem| Failure {
        error: problem.to_string(),
        hint: "install Claude Code, or set CCP_CLAUDE to its executable".to_owned(),
    })
}

/// A lease of this very process exists only when a launch of ours led back to us: what it executed is a wrapper around
/// ccp that could not be told by looking at it. Only then, too, was an account directory of ours handed down.
fn wrappers_that_led_here(home: &Home, environment: &Environment) -> Vec<PathBuf> {
    let inherited = environment.get(vars::CLAUDE_CONFIG_DIR).map(Path::new);
    if !inherited.is_some_and(|dir| home.holds_account_dir(dir)) {
        return Vec::new();
    }
    let own = procs::own_holder();
    let dir = home.leases();
    let listing = leases::list(&dir).unwrap_or_default();
    let executed = |lease: &LeaseName| {
        let bytes = std::fs::read(dir.join(lease.to_string())).ok()?;
        serde_json::from_slice::<PickRecord>(&bytes).ok()?.claude
    };
    let ours = |lease: &&LeaseName| Some(lease.holder) == own;
    listing
        .leases
        .iter()
        .filter(ours)
        .filter_map(executed)
        .collect()
}

/// Between two background refreshes that launches start.
const REFRESH_GAP: Duration = Duration::from_secs(60);

/// Numbers that are too old, or a snapshot that cannot be read, are refreshed aside, for the next launch. Whether that was
/// done: it starts a daemon as well.
fn refresh_aside(place: &Place) -> bool {
    let attempted =
        || background::attempted_recently(&place.home.refresh_lock(), REFRESH_GAP, place.now);
    if place.is_fresh() || attempted() {
        return false;
    }
    let Ok(ccpd) = child::sibling() else {
        return false;
    };
    // What cannot be started is no reason to hold a launch up: the numbers stay old, and are shown with their age.
    child::start_aside(&ccpd, &["refresh", "--quiet"], Duration::ZERO).is_ok()
}
