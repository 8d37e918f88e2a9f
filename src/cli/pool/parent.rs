//! In which conversation a command is run: claude says so in the environment of what it starts; where that was lost, the
//! session file of an ancestor does.

use crate::adapters::procs;
use crate::contract::vars;
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The word that stands for no parent.
const NONE: &str = "none";
/// The largest session file that is read, in bytes: they have about five hundred.
const MAX_FILE: u64 = 64 * 1024;

/// The parent that is meant by `--parent`: what was given, none for `none`, else the conversation of this process.
pub fn of(given: Option<&str>, user_home: &Path) -> Option<String> {
    match given {
        Some(NONE | "") => None,
        Some(parent) => Some(parent.to_owned()),
        None => of_process(user_home),
    }
}

fn of_process(user_home: &Path) -> Option<String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(id) = set(vars::CLAUDE_CODE_SESSION_ID) {
        return id.into_string().ok();
    }
    of_ancestors(user_home)
}

/// The conversation of the nearest claude above this process, as it is now: its session file follows what the person does
/// in it, which the environment of a process that lives on cannot.
pub fn of_ancestors(user_home: &Path) -> Option<String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = set(vars::CLAUDE_CONFIG_DIR).map(PathBuf::from);
    let dirs: Vec<PathBuf> = config
        .into_iter()
        .chain([user_home.join(".claude")])
        .collect();
    let ancestors = procs::ancestors(std::process::id());
    ancestors
        .iter()
        .find_map(|pid| dirs.iter().find_map(|dir| session_of(dir, *pid)))
}

/// The conversation of the claude with this pid, by its file `sessions/PID.json` (seen with Claude Code 2.1.197 and
/// 2.1.329). A claude that was killed leaves its file, so the start time has to be the same where it is told.
fn session_of(config_dir: &Path, pid: u32) -> Option<String> {
    let path = config_dir.join("sessions").join(format!("{pid}.json"));
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_FILE)
        .read_to_end(&mut text)
        .ok()?;
    let value: Value = serde_json::from_slice(&text).ok()?;
    let start = match value.get("procStart") {
        Some(Value::String(text)) => text.parse().ok(),
        other => other.and_then(Value::as_u64),
    };
    let same = start.is_none() || start == procs::start_time(pid);
    let id = value.get("sessionId").and_then(Value::as_str)?;
    (same && !id.is_empty()).then(|| id.to_owned())
}
