//! `ccpd hook statusline`: the status line of a pool's slot. What it is given of limits goes to the slot's host; what is
//! shown is the person's own status line, as without a pool. It is given in claude's settings on the command line, which
//! come before the person's files, so their command is looked up here, in the order that claude has.

use super::wrapped;
use crate::contract::{exit, vars};
use crate::host::hook;
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The largest settings that are read.
const MAX_SETTINGS: u64 = 4 * 1024 * 1024;

/// Runs once; the exit code is that of the person's command, else 0. Nothing that goes wrong is told.
pub fn run(input: impl Read, mut output: impl Write) -> u8 {
    let mut text = Vec::new();
    if input.take(super::MAX_INPUT).read_to_end(&mut text).is_err() {
        return exit::OK;
    }
    hook::status(&text);
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let Some(own) = own_command(&text, variable) else {
        return exit::OK;
    };
    wrapped::run(&own, &text, &mut output).unwrap_or(exit::FAILURE)
}

/// The status line that claude would run without ours.
fn own_command(status: &[u8], variable: impl Fn(&str) -> Option<OsString>) -> Option<OsString> {
    // What the pool's flags say comes first.
    if let Some(command) = variable(vars::CCP_STATUS_LINE) {
        return Some(command);
    }
    let status: Value = serde_json::from_slice(status).unwrap_or_default();
    let project = status["workspace"]["project_dir"].as_str();
    let project = project.map(|dir| Path::new(dir).join(".claude"));
    let of_project = ["settings.local.json", "settings.json"]
        .iter()
        .filter_map(|name| Some(project.as_ref()?.join(name)));
    let config_dir = variable(vars::CLAUDE_CONFIG_DIR).map(PathBuf::from);
    let config_dir = config_dir.or_else(|| Some(Path::new(&variable("HOME")?).join(".claude")));
    let of_person = config_dir.map(|dir| dir.join("settings.json"));
    of_project
        .chain(of_person)
        .find_map(|path| command_in(&path))
        .map(OsString::from)
}

fn command_in(settings: &Path) -> Option<String> {
    let mut text = Vec::new();
    let file = File::open(settings).ok()?;
    file.take(MAX_SETTINGS).read_to_end(&mut text).ok()?;
    let settings: Value = serde_json::from_slice(&text).ok()?;
    let command = settings["statusLine"]["command"].as_str()?;
    Some(command.to_owned()).filter(|command| !command.trim().is_empty())
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write settings as a person would"
)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The command found where these places hold one: the flags, the project's own two files, the person's.
    #[track_caller]
    fn check(places: &str, expected: Option<&str>) {
        let dir = tempfile::tempdir().expect("a directory");
        let (project, config) = (dir.path().join("p/.claude"), dir.path().join("c"));
        for place in [&project, &config] {
            std::fs::create_dir_all(place).expect("makes");
        }
        for (name, path) in [
            ("local", project.join("settings.local.json")),
            ("project", project.join("settings.json")),
            ("person", config.join("settings.json")),
        ] {
            let text = if places.contains(name) {
                json!({"statusLine": {"type": "command", "command": name, "padding": 1}})
            } else {
                json!({"statusLine": null})
            };
            std::fs::write(path, text.to_string()).expect("writes");
        }
        let status = json!({"workspace": {"project_dir": dir.path().join("p")}}).to_string();
        let found = own_command(status.as_bytes(), |name| match name {
            vars::CCP_STATUS_LINE => places.contains("flags").then(|| "flags".into()),
            vars::CLAUDE_CONFIG_DIR => Some(config.clone().into()),
            _ => None,
        });
        assert_eq!(found, expected.map(OsString::from), "{places}");
    }

    #[test]
    fn the_persons_own_is_found_where_claude_would_find_it() {
        check("", None);
        check("person", Some("person"));
        check("person project", Some("project"));
        check("person project local", Some("local"));
        check("person project local flags", Some("flags"));
        assert_eq!(own_command(b"{", |_| None), None);
    }
}
