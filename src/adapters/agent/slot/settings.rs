//! The settings that a slot is started with: ours, merged with those of the pool's flags. claude adds hooks of several
//! sources up, and takes anything else from the command line before it looks into the person's files.

use super::flags::Flags;
use super::{HOOK_COMMAND, STATUS_COMMAND};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The events that are asked for. Every client knows them: an unknown name makes older ones ask a question at the start.
pub(super) const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "Stop",
    "StopFailure",
    "Notification",
    "SessionEnd",
];
/// Seconds that claude waits for a hook. Ours is done in milliseconds, or its host is gone.
const HOOK_SECONDS: u32 = 10;
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Why the settings of the flags are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}, which `--settings` of the pool's flags names: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is not a JSON object.
    #[error("`--settings` of the pool's flags is no JSON object: {0}")]
    Json(String),
}

pub(super) struct Merged {
    pub text: String,
    pub hooks_disabled: bool,
    /// The status line of the flags, in whose place ours stands.
    pub status_line: Option<String>,
}

pub(super) fn merged(
    flags: &Flags,
    cwd: &Path,
    reports_limits: bool,
) -> Result<Merged, SettingsError> {
    let mut settings = Map::new();
    for given in flags.settings() {
        merge(&mut settings, load(given, cwd)?);
    }
    let hooks_disabled = settings.get("disableAllHooks") == Some(&Value::Bool(true));
    let status_line = settings
        .get("statusLine")
        .and_then(|l| l["command"].as_str());
    let status_line = status_line.map(str::to_owned).filter(|_| reports_limits);
    let mut ours = Map::new();
    if reports_limits {
        // claude merges this with the person's own, whose padding and interval stay.
        let line = json!({"type": "command", "command": STATUS_COMMAND});
        ours.insert("statusLine".to_owned(), line);
    }
    let entry =
        json!([{"hooks": [{"type": "command", "command": HOOK_COMMAND, "timeout": HOOK_SECONDS}]}]);
    let hooks: Map<_, _> = EVENTS
        .iter()
        .map(|event| ((*event).to_owned(), entry.clone()))
        .collect();
    ours.insert("hooks".to_owned(), Value::Object(hooks));
    // Off, a question opens when the plan's limit is reached and takes the keys; on, claude waits without one (measured
    // with 2.1.329): a slot that is moved to another account is ended, and a single Escape calls the waiting off.
    ours.insert("autoContinueAtUsageLimit".to_owned(), Value::Bool(true));
    if flags.bypasses_permissions() {
        let key = "skipDangerousModePermissionPrompt";
        ours.insert(key.to_owned(), Value::Bool(true));
    }
    merge(&mut settings, ours);
    Ok(Merged {
        text: Value::Object(settings).to_string(),
        hooks_disabled,
        status_line,
    })
}

/// JSON, or the path of a file with JSON, as claude tells them apart.
fn load(given: &str, cwd: &Path) -> Result<Map<String, Value>, SettingsError> {
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        let path = cwd.join(given);
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
            .map_err(|source| SettingsError::File { path, source })?;
        text
    };
    serde_json::from_str(&text).map_err(|error| SettingsError::Json(error.to_string()))
}

/// Lists of hooks are added up, objects merged, and of anything else the later one counts.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
