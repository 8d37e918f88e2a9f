//! A daemon for the time after this command: whether one may be started, and by whom; and how one ends that nobody
//! supervises. Never two of them, and none beside a service: what a supervisor keeps, or was told to stop, is the
//! supervisor's.

use super::context::Context;
use super::failure::Failure;
use crate::adapters::files::Lock;
use crate::adapters::procs;
use crate::adapters::service::{Definition, definitions};
use crate::claim::roster;
use crate::contract::paths::{DEFAULT_HOME_NAME, Home};
use crate::contract::proto::note::Note;
use crate::contract::vars;
use crate::daemon::spawn::{self, Started};
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Why this command starts no daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The settings or the environment say no, there are no accounts, the home is another user's, or this is a
    /// container's first process, which is all that it is for.
    NotAllowed,
    /// A service keeps it: its file.
    Service(PathBuf),
    /// One runs, was started too often, or cannot be started.
    Spawn(Started),
}

/// Starts a daemon where none runs and one may be started. What goes wrong with it is in its log, and no reason to hold
/// a command up.
pub fn start(context: &Context) -> Result<(), Refusal> {
    must_be_allowed(context)?;
    match spawn::ensure(&context.home, context.now) {
        Started::Now => Ok(()),
        other => Err(Refusal::Spawn(other)),
    }
}

/// The same, and says so.
pub fn start_and_tell(context: &Context) {
    if start(context).is_ok() {
        eprintln!(
            "the daemon now runs in the background and keeps the numbers fresh; `ccp service install` makes it start by itself"
        );
    }
}

/// Why this very process is not to become the daemon; none when it may, which is noted as a start.
#[must_use]
pub fn refuses(context: &Context) -> Option<Refusal> {
    match must_be_allowed(context) {
        Err(refusal) => Some(refusal),
        Ok(()) => spawn::refuses(&context.home, context.now).map(Refusal::Spawn),
    }
}

/// The daemon that runs, by its own note; none where none runs.
#[must_use]
pub fn running(home: &Home) -> Option<Note> {
    spawn::running(home)
}

/// Ends the daemon of this home. The lock that is returned keeps the next one out while it is held; none where there
/// never was a daemon.
pub fn end(home: &Home) -> Result<Option<Lock>, Failure> {
    spawn::end(home).map_err(Failure::new)
}

/// Whether launches and commands start a daemon of this home where none runs.
#[must_use]
pub fn is_allowed(context: &Context) -> bool {
    must_be_allowed(context).is_ok()
}

fn must_be_allowed(context: &Context) -> Result<(), Refusal> {
    let setting = context.settings().is_ok_and(|settings| settings.autostart);
    let is_allowed = vars::may_autostart(setting, env::var_os) && std::process::id() != 1;
    if !is_allowed || !is_own(&context.home) || !has_accounts(context) {
        return Err(Refusal::NotAllowed);
    }
    match supervised(context) {
        Some(definition) => Err(Refusal::Service(definition.file)),
        None => Ok(()),
    }
}

/// A daemon of somebody else, such as of root under sudo, would leave files behind that the person cannot read.
fn is_own(home: &Home) -> bool {
    fs::metadata(home.path()).is_ok_and(|metadata| metadata.uid() == procs::user_id())
}

fn has_accounts(context: &Context) -> bool {
    let roster = roster::load(&context.home, &context.user_home);
    !roster.snapshot.accounts.is_empty()
}

/// The service that keeps this home's daemon, where one is installed. Nobody is asked: its file tells.
#[must_use]
pub fn supervised(context: &Context) -> Option<Definition> {
    let is_default = context.home.path() == context.user_home.join(DEFAULT_HOME_NAME);
    let config = env::var_os(vars::XDG_CONFIG_HOME);
    let found = definitions(&context.user_home, config.as_deref());
    found
        .into_iter()
        .find(|definition| definition.keeps(&context.home, is_default))
}
