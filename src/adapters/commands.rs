//! The custom commands and skills that a claude knows: files below its config directory, the project's and those of
//! enabled plugins. Only whether a name exists is asked; the files are claude's to read.
//!
//! The name must be exactly what claude calls it: of a name it does not know it runs the first one it would suggest
//! (2.1.329: `/deep` became `/deep-research`).

use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Front matter and lists of plugins have a few kilobytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Directories above a project that are looked into; deeper trees are somebody's accident.
const MAX_ANCESTORS: usize = 64;
/// Skills of one directory whose own name is looked at.
const MAX_SKILLS: usize = 2000;

/// Where a claude looks.
#[derive(Clone, Debug)]
pub struct Places {
    /// Its config directory.
    pub config_dir: PathBuf,
    /// Its plugin store: of an account that of the base.
    pub plugins: PathBuf,
    /// The directory it was started in.
    pub project: PathBuf,
    /// The person's home: `.claude` there is a config directory, not a project's.
    pub user_home: PathBuf,
}

impl Places {
    /// Whether `/name` is a command or a skill of the person's.
    #[must_use]
    pub fn has_command(&self, name: &str) -> bool {
        let Some(parts) = parts_of(name) else {
            return false;
        };
        is_in(&self.config_dir, &parts)
            || self
                .project_dirs()
                .any(|dir| is_in(&dir.join(".claude"), &parts))
            || self.is_of_plugin(&parts)
    }

    /// The project and the directories above it, up to its repository, the home, or the root.
    fn project_dirs(&self) -> impl Iterator<Item = &Path> {
        let mut is_over = false;
        self.project
            .ancestors()
            .take(MAX_ANCESTORS)
            .take_while(move |dir| {
                let was_over = is_over || *dir == self.user_home;
                is_over = was_over || dir.join(".git").exists();
                !was_over
            })
    }

    /// `plugin:command`, of a plugin that is installed and not switched off.
    fn is_of_plugin(&self, parts: &[&str]) -> bool {
        let Some((plugin, rest)) = parts.split_first() else {
            return false;
        };
        if rest.is_empty() {
            return false;
        }
        let installed = json(&self.plugins.join("installed_plugins.json"));
        let settings = json(&self.config_dir.join("settings.json"));
        let entries = installed["plugins"].as_object().into_iter().flatten();
        entries
            .filter(|(key, _)| key.split('@').next() == Some(plugin))
            .filter(|(key, _)| settings["enabledPlugins"][key.as_str()] != Value::Bool(false))
            .flat_map(|(_, installs)| installs.as_array().into_iter().flatten())
            .filter_map(|install| install["installPath"].as_str())
            .any(|path| is_in(Path::new(path), rest))
    }
}

/// The parts of a name; none for one that could lead out of a directory.
fn parts_of(name: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = name.split(':').collect();
    let is_plain = |part: &&str| {
        let mut components = Path::new(part).components();
        let first = components.next();
        matches!(first, Some(Component::Normal(_)))
            && components.next().is_none()
            && !part.contains('/')
    };
    parts.iter().all(is_plain).then_some(parts)
}

/// Whether `commands` or `skills` of a directory have this name.
fn is_in(dir: &Path, parts: &[&str]) -> bool {
    let Some((last, above)) = parts.split_last() else {
        return false;
    };
    let mut file = dir.join("commands");
    file.extend(above);
    file.push(format!("{last}.md"));
    file.is_file() || (above.is_empty() && has_skill(&dir.join("skills"), last))
}

/// A skill goes by the name of its directory, or by the one it gives itself.
fn has_skill(skills: &Path, name: &str) -> bool {
    if skills.join(name).join("SKILL.md").is_file() {
        return true;
    }
    let entries = fs::read_dir(skills).into_iter().flatten().flatten();
    entries
        .take(MAX_SKILLS)
        .any(|entry| own_name(&entry.path().join("SKILL.md")).as_deref() == Some(name))
}

/// `name:` of the front matter.
fn own_name(skill: &Path) -> Option<String> {
    let text = read(skill)?;
    let mut lines = text.lines();
    (lines.next()?.trim_end() == "---").then_some(())?;
    let front = lines.take_while(|line| line.trim_end() != "---");
    let name = front.filter_map(|line| line.strip_prefix("name:")).next()?;
    Some(name.trim().trim_matches(['"', '\'']).to_owned())
}

fn json(path: &Path) -> Value {
    let text = read(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::files::{PRIVATE_FILE, replace_rebuildable};

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("has one")).expect("makes");
        replace_rebuildable(path, text.as_bytes(), PRIVATE_FILE).expect("writes");
    }

    #[test]
    fn commands_and_skills_are_known_by_exactly_their_names() {
        let home = tempfile::tempdir().expect("a directory");
        let at = |path: &str| home.path().join(path);
        put(&at(".claude/commands/greet.md"), "hi");
        put(&at(".claude/commands/sub/deep.md"), "hi");
        put(
            &at(".claude/skills/folder/SKILL.md"),
            "---\ndescription: d\nname: \"own\"\n---\nname: not\n",
        );
        put(&at("work/repo/.git"), "");
        put(&at("work/repo/.claude/commands/proj.md"), "p");
        put(&at("work/.claude/commands/outside.md"), "p");
        put(&at("store/tool/commands/run.md"), "p");
        put(&at("store/tool/skills/look/SKILL.md"), "p");
        put(&at("store/off/commands/run.md"), "p");
        let installed = format!(
            r#"{{"version":2,"plugins":{{"tool@m":[{{"installPath":"{0}/store/tool"}}],"off@m":[{{"installPath":"{0}/store/off"}}]}}}}"#,
            home.path().display()
        );
        put(&at(".claude/plugins/installed_plugins.json"), &installed);
        put(
            &at(".claude/settings.json"),
            r#"{"enabledPlugins":{"off@m":false}}"#,
        );
        let places = Places {
            config_dir: at(".claude"),
            plugins: at(".claude/plugins"),
            project: at("work/repo/src/deep"),
            user_home: home.path().to_owned(),
        };
        for name in [
            "greet",
            "sub:deep",
            "folder",
            "own",
            "proj",
            "tool:run",
            "tool:look",
        ] {
            assert!(places.has_command(name), "{name}");
        }
        for name in [
            "gree",
            "deep",
            "sub",
            "not",
            "outside",
            "off:run",
            "run",
            "tool",
            "",
            ":",
            "..",
            "../commands/greet",
            "sub/deep",
            "x:..:greet",
            "greet.md",
            "clear",
        ] {
            assert!(!places.has_command(name), "{name}");
        }
    }
}
