//! Putting `ccp statusline` into the base's `settings.json`, and taking it out again exactly as it was. The person's own
//! status line goes on working, also when ccp is gone.

use super::super::settings_file::{SettingsFile, SettingsFileError, at};
use super::super::settings_text::Members;
use crate::adapters::files::{PRIVATE_FILE, replace};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The member of the settings.
const MEMBER: &str = "statusLine";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The settings were changed.
    Changed,
    /// They were as wanted already.
    Nothing,
    /// The person said no.
    Declined,
}

/// Why the settings were left alone.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The file cannot be changed, or not without harm.
    #[error(transparent)]
    Settings(#[from] SettingsFileError),
    /// A status line of a kind that cannot be wrapped.
    #[error("the status line in {} is no command, so it is left alone", path.display())]
    NoCommand {
        /// Which.
        path: PathBuf,
    },
    /// It was changed since, so that putting the old one back would lose that.
    #[error("the status line in {} was changed since ccp wrote it, so it is left alone", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
}

/// What stood there before, so that it can be put back.
#[derive(Debug, Serialize, Deserialize)]
struct Original {
    /// The member's text; none when there was none.
    original: Option<String>,
    /// What ccp wrote in its place.
    installed: String,
}

/// Wraps the status line of `settings`. The original is kept in `record`. `confirm` is shown the new command and asked
/// before anything is written.
pub fn install(
    settings: &Path,
    record: &Path,
    confirm: impl FnOnce(&str) -> bool,
) -> Result<Done, InstallError> {
    let target = SettingsFile::load(settings)?;
    let members = target.members(MEMBER)?;
    let current = members.get(MEMBER);
    if kept(record).is_some_and(|kept| Some(kept.installed.as_str()) == current) {
        return Ok(Done::Nothing);
    }
    let no_command = || InstallError::NoCommand {
        path: settings.to_owned(),
    };
    let (installed, command) = match current {
        None | Some("null") => {
            let command = guarded(None);
            let value = serde_json::json!({"type": "command", "command": command});
            (value.to_string(), command)
        }
        Some(text) => {
            let fields = Members::parse(text).ok_or_else(no_command)?;
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            let own = value["command"].as_str().ok_or_else(no_command)?;
            if fields.is_ambiguous("command") || calls_us(own) {
                return Err(no_command());
            }
            let command = guarded(Some(own));
            let quoted = Value::from(command.as_str()).to_string();
            (fields.with("command", &quoted), command)
        }
    };
    if !confirm(&command) {
        return Ok(Done::Declined);
    }
    let original = Original {
        original: current.map(str::to_owned),
        installed: installed.clone(),
    };
    let text = serde_json::to_vec(&original).unwrap_or_default();
    // The original first: without it the change could not be taken back.
    replace(record, &text, PRIVATE_FILE).map_err(at(record))?;
    target.write(&members.with(MEMBER, &installed))?;
    Ok(Done::Changed)
}

/// Puts the original of `record` back.
pub fn remove(settings: &Path, record: &Path) -> Result<Done, InstallError> {
    let Some(kept) = kept(record) else {
        return Ok(Done::Nothing);
    };
    let target = SettingsFile::load(settings)?;
    let members = target.members(MEMBER)?;
    let done = match members.get(MEMBER) {
        Some(current) if current == kept.installed => {
            target.write(&match &kept.original {
                Some(original) => members.with(MEMBER, original),
                None => members.without(MEMBER),
            })?;
            Done::Changed
        }
        Some(current) if calls_us(current) => {
            return Err(InstallError::Changed {
                path: settings.to_owned(),
            });
        }
        // Replaced or removed by the person: it is not ours any more.
        _ => Done::Nothing,
    };
    fs::remove_file(record).map_err(at(record))?;
    Ok(done)
}

fn kept(record: &Path) -> Option<Original> {
    serde_json::from_slice(&fs::read(record).ok()?).ok()
}

fn calls_us(command: &str) -> bool {
    command.contains("ccp statusline")
}

/// A command that is the person's own where ccp is not. On lines of its own, since it may end in a comment.
fn guarded(own: Option<&str>) -> String {
    let present = "command -v ccp >/dev/null 2>&1";
    match own {
        None => format!("if {present}; then ccp statusline; fi"),
        Some(own) => {
            let quoted = own.replace('\'', r"'\''");
            format!("if {present}; then ccp statusline --wrap '{quoted}'; else\n{own}\nfi")
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write settings as a person would"
)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new(text: Option<&str>) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            if let Some(text) = text {
                fs::write(dir.path().join("settings.json"), text).expect("writes");
            }
            Self { dir }
        }

        fn settings(&self) -> PathBuf {
            self.dir.path().join("settings.json")
        }

        fn record(&self) -> PathBuf {
            self.dir.path().join("record")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.settings()).expect("reads")
        }

        fn install(&self) -> Result<Done, InstallError> {
            install(&self.settings(), &self.record(), |_| true)
        }

        fn command(&self) -> String {
            let value: Value = serde_json::from_str(&self.text()).expect("parses");
            value[MEMBER]["command"]
                .as_str()
                .expect("is one")
                .to_owned()
        }
    }

    #[test]
    fn what_was_there_comes_back_byte_for_byte() {
        let rows = [
            "{}\n",
            "{\"model\": \"x\",\n\t\"z\" : [ 1 ]}",
            "{\"statusLine\": {\"type\":\"command\",  \"command\":\"a 'b' # c\", \"padding\":0}, \"a\":1}\n",
            "{\"statusLine\":null}",
        ];
        for text in rows {
            let place = Place::new(Some(text));
            assert_eq!(place.install().expect("installs"), Done::Changed, "{text}");
            assert!(place.command().contains("ccp statusline"));
            assert_eq!(place.install().expect("is installed"), Done::Nothing);
            let removed = remove(&place.settings(), &place.record());
            assert_eq!(removed.expect("removes"), Done::Changed);
            assert_eq!(place.text(), text);
            let again = remove(&place.settings(), &place.record());
            assert_eq!(again.expect("nothing is left"), Done::Nothing);
        }
    }

    #[test]
    fn the_persons_own_command_runs_with_and_without_ccp() {
        let own = r#"printf '%s' "it's mine" # \"#;
        let value = serde_json::json!({MEMBER: {"type": "command", "command": own}});
        let place = Place::new(Some(&value.to_string()));
        place.install().expect("installs");
        let bin = place.dir.path().join("bin");
        fs::create_dir(&bin).expect("creates");
        let run = || {
            let path = format!("{}:/usr/bin:/bin", bin.display());
            let output = Command::new("/bin/sh")
                .args(["-c", &place.command()])
                .env("PATH", path)
                .output()
                .expect("runs");
            String::from_utf8(output.stdout).expect("is text")
        };
        assert_eq!(run(), "it's mine");
        let fake = "#!/bin/sh\nprintf 'wrapped: '; exec sh -c \"$3\"\n";
        fs::write(bin.join("ccp"), fake).expect("writes");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(bin.join("ccp"), mode).expect("sets");
        assert_eq!(run(), "wrapped: it's mine");
    }

    #[test]
    fn what_cannot_be_changed_without_harm_is_left_alone() {
        for text in [
            "",
            "{",
            "// mine\n{}",
            "{\"statusLine\":1}",
            "{\"statusLine\":{\"type\":\"other\"}}",
            "{\"statusLine\":{},\"statusLine\":{}}",
        ] {
            let place = Place::new(Some(text));
            assert!(place.install().is_err(), "{text}");
            assert_eq!(place.text(), text);
        }
        let place = Place::new(Some("{}"));
        let declined = install(&place.settings(), &place.record(), |_| false);
        assert_eq!(declined.expect("asks"), Done::Declined);
        assert_eq!(
            (place.text().as_str(), place.record().exists()),
            ("{}", false)
        );
    }

    #[test]
    fn a_status_line_that_was_changed_since_is_the_persons() {
        let place = Place::new(Some("{}"));
        place.install().expect("installs");
        let edited = place
            .text()
            .replace("then ccp statusline", "then ccp statusline # mine\n");
        fs::write(place.settings(), &edited).expect("writes");
        assert!(remove(&place.settings(), &place.record()).is_err());
        assert_eq!(place.text(), edited);
        fs::write(place.settings(), "{\"statusLine\":{\"command\":\"x\"}}").expect("writes");
        let removed = remove(&place.settings(), &place.record());
        assert_eq!(removed.expect("is theirs"), Done::Nothing);
        assert_eq!(place.text(), "{\"statusLine\":{\"command\":\"x\"}}");
    }

    #[test]
    fn links_and_modes_stay() {
        let place = Place::new(None);
        let real = place.dir.path().join("dotfiles.json");
        fs::write(&real, "{}").expect("writes");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("sets");
        std::os::unix::fs::symlink(&real, place.settings()).expect("links");
        place.install().expect("installs");
        let link = fs::symlink_metadata(place.settings()).expect("is there");
        assert!(link.file_type().is_symlink());
        let mode = fs::metadata(&real).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let none = Place::new(None);
        none.install().expect("makes the file");
        assert!(none.command().starts_with("if command -v ccp"));
    }
}
