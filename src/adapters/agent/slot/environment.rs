//! The environment of a slot: the person's, as their login shell makes it, with exactly the differences a slot needs.

use super::SlotOrder;
use crate::adapters::agent::process::{Agent, Environment};
use crate::contract::vars;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Start-up files may ask the network; a pool that starts does not wait longer for them.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// What the shell itself keeps there, of no meaning for a program it starts.
const OF_THE_SHELL: &[&str] = &["SHLVL", "PWD", "OLDPWD", "_", "TERM"];
/// What belongs to another slot, or to the daemon.
const OF_ANOTHER: &[&str] = &[vars::CLAUDE_CONFIG_DIR, vars::CCP_ACCOUNT];
/// Variables of claude's own, set by the one that the daemon may have been started from.
const CLAUDES_OWN: &[u8] = b"CLAUDE_CODE_";
/// The terminal that a host emulates.
const TERMINAL: &str = "xterm-256color";
/// Around the environment in what the shell prints: start-up files print too.
const MARK: &str = "--ccp-environment--";

/// The person's environment, captured once.
#[derive(Clone)]
pub struct ShellEnvironment {
    pairs: Vec<(OsString, OsString)>,
    /// Why it is the inherited one, where the shell did not answer.
    problem: Option<String>,
}

impl std::fmt::Debug for ShellEnvironment {
    /// People keep secrets in their environment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShellEnvironment({} variables)", self.pairs.len())
    }
}

impl ShellEnvironment {
    /// Asks the login shell of `inherited` (`SHELL`) what it makes of `inherited`, in `patience` at most. A shell that
    /// is unknown, slow or broken gives the inherited environment, and [`ShellEnvironment::problem`] says so.
    #[must_use]
    pub fn capture(
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
        patience: Duration,
    ) -> Self {
        let inherited = without_claudes(inherited);
        match ask(&inherited, patience) {
            Ok(pairs) => Self {
                pairs,
                problem: None,
            },
            Err(problem) => Self {
                pairs: inherited,
                problem: Some(problem),
            },
        }
    }

    /// An environment as it is, without asking a shell.
    #[must_use]
    pub fn inherited(inherited: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self {
            pairs: without_claudes(inherited),
            problem: None,
        }
    }

    /// Why the shell's own environment could not be had.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// A variable of it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.pairs.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// Without what tells a claude, or anything it starts, that it is a claude's child.
fn without_claudes(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let is_claudes = |name: &OsStr| {
        name.as_bytes().starts_with(CLAUDES_OWN)
            || vars::ANCESTRY
                .iter()
                .chain(vars::OF_A_SLOT)
                .chain(OF_ANOTHER)
                .any(|n| name == *n)
    };
    let pairs = inherited.into_iter();
    pairs.filter(|(name, _)| !is_claudes(name)).collect()
}

fn ask(
    inherited: &[(OsString, OsString)],
    patience: Duration,
) -> Result<Vec<(OsString, OsString)>, String> {
    let shell = inherited.iter().find(|(name, _)| name == "SHELL");
    let shell = shell.map(|(_, path)| Path::new(path));
    let shell = shell.ok_or("SHELL is not set")?;
    let name = shell
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    if !["bash", "zsh", "fish", "sh", "dash", "ksh"].contains(&name) {
        return Err(format!("{} is no shell that can be asked", shell.display()));
    }
    let environment = Environment::exactly(inherited.iter().cloned());
    let mut command = environment.with("TERM", "dumb").command(shell);
    let line = format!("printf %s {MARK}; env -0; printf %s {MARK}");
    command.args(["-l", "-i", "-c", &line]);
    let anywhere = Path::new("/");
    let started = Agent::start_piped(command, anywhere);
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", shell.display());
    let (mut agent, stdin, mut output) = started.map_err(|error| failed(&error))?;
    drop(stdin);
    let deadline = Instant::now() + patience;
    let said = output
        .rest(deadline)
        .map_err(|_| failed(&"gave no environment in time"))?;
    let pairs = between_marks(said).ok_or_else(|| failed(&"printed no environment"))?;
    agent.wait(deadline);
    Ok(without_claudes_children(pairs))
}

/// A person may well set variables of claude's in a start-up file: only what marks a child goes.
fn without_claudes_children(pairs: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let goes = |name: &OsStr| {
        let names = vars::ANCESTRY
            .iter()
            .chain(vars::OF_A_SLOT)
            .chain(OF_ANOTHER)
            .chain(OF_THE_SHELL);
        names.clone().any(|n| name == *n)
    };
    pairs.into_iter().filter(|(name, _)| !goes(name)).collect()
}

fn between_marks(said: &[u8]) -> Option<Vec<(OsString, OsString)>> {
    let mark = MARK.as_bytes();
    let find = |bytes: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
    let rest = &said[find(said)? + mark.len()..];
    let inside = &rest[..find(rest)?];
    let entries = inside.split(|byte| *byte == 0).filter(|e| !e.is_empty());
    let pairs: Vec<_> = entries.filter_map(pair).collect();
    // An environment without a search path is none that a program can be started with.
    pairs
        .iter()
        .any(|(name, _)| name == "PATH")
        .then_some(pairs)
}

fn pair(entry: &[u8]) -> Option<(OsString, OsString)> {
    let at = entry
        .iter()
        .position(|byte| *byte == b'=')
        .filter(|at| *at > 0)?;
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Some((text(&entry[..at]), text(&entry[at + 1..])))
}

/// The whole environment of a slot.
pub(super) fn of_slot(
    order: &SlotOrder<'_>,
    status_line: Option<&str>,
) -> Vec<(OsString, OsString)> {
    let mut environment = Environment::exactly(order.environment.pairs.iter().cloned());
    for name in vars::OF_A_SLOT.iter().chain(OF_ANOTHER).chain(OF_THE_SHELL) {
        environment = environment.without(name);
    }
    if let Some(account) = order.config_dir {
        for name in vars::OVERRIDES {
            environment = environment.without(name);
        }
        environment = environment.with(vars::CLAUDE_CONFIG_DIR, account);
        let store = order.environment.get(vars::PLUGIN_CACHE_DIR);
        if store.is_none_or(OsStr::is_empty) {
            environment = environment.with(vars::PLUGIN_CACHE_DIR, order.plugins);
        }
    }
    environment = environment
        .with("TERM", TERMINAL)
        .with("PWD", order.cwd)
        // A start must not cost quota: without this it sends a request that may open the five-hour window.
        .with(vars::NONESSENTIAL_TRAFFIC, "1")
        .with("DISABLE_AUTOUPDATER", "1")
        .with("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1")
        .with(vars::CLAUDE_POOL_DIR, order.pool_dir)
        .with(vars::CCP_HOOK_PROGRAM, &order.hooks.program)
        .with(vars::CCP_HOOK_SOCKET, &order.hooks.socket)
        .with(vars::CCP_HOOK_TOKEN, &order.hooks.token);
    if let Some(command) = status_line {
        environment = environment.with(vars::CCP_STATUS_LINE, command);
    }
    if let Some(session) = order.pool_session {
        environment = environment.with(vars::CLAUDE_POOL_SESSION_ID, session);
    }
    environment.into_pairs()
}
