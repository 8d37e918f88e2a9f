//! Putting ccp's hook among the person's own in the base's `settings.json`, and taking it out again. It is known by its
//! command, so that nothing has to be kept: everything else in the settings stays as it is written.

use super::super::settings_file::{SettingsFile, SettingsFileError};
use super::super::settings_text::{Elements, Members};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What claude runs; harmless where ccp is gone.
pub const COMMAND: &str = "if command -v ccp >/dev/null 2>&1; then ccp hooks report; fi";
/// How the command is known, also should it be worded otherwise one day.
const CALL: &str = "ccp hooks report";
/// The member of the settings.
const MEMBER: &str = "hooks";
/// The event; 2.1.197 and 2.1.329 know it, and a client that does not would ask about it.
const EVENT: &str = "StopFailure";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The settings were changed.
    Changed,
    /// They were as wanted already.
    Nothing,
}

/// Why the settings were left alone.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The file cannot be changed, or not without harm.
    #[error(transparent)]
    Settings(#[from] SettingsFileError),
    /// Its hooks are not written as claude reads them.
    #[error("`hooks` in {} is not what claude reads, so it is left alone", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
}

/// The groups of the event as they are written; none where there are none.
struct Hooks<'a> {
    settings: Members<'a>,
    events: Option<Members<'a>>,
    groups: Option<Elements<'a>>,
}

impl<'a> Hooks<'a> {
    fn read(file: &'a SettingsFile, path: &Path) -> Result<Self, InstallError> {
        let foreign = || InstallError::Foreign {
            path: path.to_owned(),
        };
        let settings = file.members(MEMBER)?;
        let events = match settings.get(MEMBER) {
            None | Some("null") => None,
            Some(text) => Some(Members::parse(text).ok_or_else(foreign)?),
        };
        if events.as_ref().is_some_and(|e| e.is_ambiguous(EVENT)) {
            return Err(foreign());
        }
        let groups = match events.as_ref().and_then(|events| events.get(EVENT)) {
            None => None,
            Some(text) => Some(Elements::parse(text).ok_or_else(foreign)?),
        };
        Ok(Self {
            settings,
            events,
            groups,
        })
    }

    /// Which group is ours.
    fn own(&self) -> Option<usize> {
        self.groups.as_ref()?.find(is_own)
    }

    /// The settings with these groups; without them, and without what is empty then.
    fn with(&self, groups: Option<&str>) -> String {
        let events = match (&self.events, groups) {
            (Some(events), Some(groups)) => Some(events.with(EVENT, groups)),
            (Some(events), None) => Some(events.without(EVENT))
                .filter(|rest| Members::parse(rest).is_some_and(|rest| !rest.is_empty())),
            (None, Some(groups)) => Some(format!("{{\"{EVENT}\": {groups}}}")),
            (None, None) => None,
        };
        match events {
            Some(events) => self.settings.with(MEMBER, &events),
            None => self.settings.without(MEMBER),
        }
    }
}

/// Whether a group runs nothing but our command.
fn is_own(group: &str) -> bool {
    let group: Value = serde_json::from_str(group).unwrap_or_default();
    let hooks = group["hooks"].as_array().map(Vec::as_slice);
    let is_ours = |hook: &Value| hook["command"].as_str().is_some_and(|c| c.contains(CALL));
    hooks.is_some_and(|hooks| hooks.len() == 1 && hooks.iter().all(is_ours))
}

/// Whether the hook is in these settings.
pub fn is_installed(settings: &Path) -> Result<bool, InstallError> {
    let file = SettingsFile::load(settings)?;
    Ok(Hooks::read(&file, settings)?.own().is_some())
}

/// Puts the hook beside the person's own.
pub fn install(settings: &Path) -> Result<Done, InstallError> {
    let file = SettingsFile::load(settings)?;
    let hooks = Hooks::read(&file, settings)?;
    if hooks.own().is_some() {
        return Ok(Done::Nothing);
    }
    let group = serde_json::json!({"hooks": [{"type": "command", "command": COMMAND}]}).to_string();
    let groups = match &hooks.groups {
        Some(groups) => groups.with(&group),
        None => format!("[{group}]"),
    };
    file.write(&hooks.with(Some(&groups)))?;
    Ok(Done::Changed)
}

/// Takes it out. What the person wrote into the same group stays with it.
pub fn remove(settings: &Path) -> Result<Done, InstallError> {
    let file = SettingsFile::load(settings)?;
    let hooks = Hooks::read(&file, settings)?;
    let Some((groups, own)) = hooks.groups.as_ref().zip(hooks.own()) else {
        return Ok(Done::Nothing);
    };
    let rest = (groups.len() > 1).then(|| groups.without(own));
    file.write(&hooks.with(rest.as_deref()))?;
    Ok(Done::Changed)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write settings as a person would"
)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    /// The settings before, and after installing and removing.
    fn check(text: &str, after: &str) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("settings.json");
        fs::write(&path, text).expect("writes");
        assert_eq!(install(&path).expect("installs"), Done::Changed, "{text}");
        let installed = fs::read_to_string(&path).expect("reads");
        let value: Value = serde_json::from_str(&installed).expect("parses");
        let groups = value[MEMBER][EVENT].as_array().expect("groups");
        let command = &groups.last().expect("one")["hooks"][0]["command"];
        assert_eq!(command, COMMAND, "{installed}");
        assert_eq!(install(&path).expect("is there"), Done::Nothing);
        assert!(is_installed(&path).expect("looks"));
        assert_eq!(remove(&path).expect("removes"), Done::Changed);
        assert_eq!(fs::read_to_string(&path).expect("reads"), after);
        assert_eq!(remove(&path).expect("is gone"), Done::Nothing);
    }

    #[test]
    fn what_was_there_comes_back() {
        for text in [
            "{}\n",
            "{\"model\": \"x\",\n\t\"z\" : [ 1 ]}",
            "{\"hooks\": {\"Stop\":[{\"hooks\": []} ] }, \"a\":1}\n",
            "{\"hooks\": {\"StopFailure\": [ {\"hooks\":[{\"type\":\"command\",\"command\":\"a [] 'b'\"}]} ], \"Stop\":[]}}",
        ] {
            check(text, text);
        }
        // An empty list means what none means.
        check("{\"hooks\":{\"StopFailure\":[ ]}}", "{}");
        check("{\"hooks\":null, \"a\":1}", "{ \"a\":1}");
    }

    #[test]
    fn hooks_that_came_later_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("settings.json");
        install(&path).expect("makes the file");
        let mut value: Value =
            serde_json::from_slice(&fs::read(&path).expect("reads")).expect("parses");
        let own = serde_json::json!({"hooks": [{"type": "command", "command": "mine"}]});
        value[MEMBER][EVENT]
            .as_array_mut()
            .expect("groups")
            .push(own.clone());
        value[MEMBER]["Stop"] = serde_json::json!([own]);
        let expected = serde_json::json!({MEMBER: {EVENT: [own], "Stop": [own]}});
        fs::write(&path, value.to_string()).expect("writes");
        assert_eq!(remove(&path).expect("removes"), Done::Changed);
        let left: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("parses");
        assert_eq!(left, expected);
    }

    #[test]
    fn what_cannot_be_changed_without_harm_is_left_alone() {
        for text in [
            "",
            "// mine\n{}",
            "{\"hooks\":[]}",
            "{\"hooks\":{\"StopFailure\":{}}}",
            "{\"hooks\":{\"StopFailure\":[],\"StopFailure\":[]}}",
            "{\"hooks\":{},\"hooks\":{}}",
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("settings.json");
            fs::write(&path, text).expect("writes");
            assert!(install(&path).is_err(), "{text}");
            assert!(remove(&path).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).expect("reads"), text);
        }
    }

    #[test]
    fn the_command_is_harmless_without_ccp() {
        let output = Command::new("/bin/sh")
            .args(["-c", COMMAND])
            .env("PATH", "/nowhere")
            .output()
            .expect("runs");
        let said = (
            output.status.code(),
            output.stdout.len(),
            output.stderr.len(),
        );
        assert_eq!(said, (Some(0), 0, 0));
    }
}
