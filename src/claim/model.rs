//! Which model a launch will use: its arguments, then the environment, then the settings that claude would read.

use crate::contract::paths::Base;
use crate::contract::snapshot::Snapshot;
use crate::core::select::model::from_arguments;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Settings longer than this are not read: a launch does not wait for them.
const MAX_SETTINGS: u64 = 1 << 20;

/// Whether it matters at all: only where some account has a weekly window of one model.
#[must_use]
pub fn matters(snapshot: &Snapshot) -> bool {
    let scoped = |w: &crate::contract::snapshot::WindowEntry| w.model.is_some();
    snapshot
        .accounts
        .iter()
        .filter_map(|a| a.sample.as_ref())
        .any(|s| s.windows.iter().any(scoped))
}

/// The model; none when nothing names one. `variable` is the value of `ANTHROPIC_MODEL`.
pub fn find<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    variable: Option<&str>,
    cwd: &Path,
    base: &Base,
) -> Option<String> {
    let project = cwd.join(".claude");
    from_arguments(arguments)
        .map(str::to_owned)
        .or_else(|| variable.filter(|v| !v.is_empty()).map(str::to_owned))
        .or_else(|| from_settings(&project.join("settings.local.json")))
        .or_else(|| from_settings(&project.join("settings.json")))
        .or_else(|| from_settings(&base.settings()))
}

fn from_settings(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Settings {
        model: Option<String>,
    }
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_SETTINGS)
        .read_to_end(&mut bytes)
        .ok()?;
    serde_json::from_slice::<Settings>(&bytes)
        .ok()?
        .model
        .filter(|m| !m.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_word_on_the_model_wins() {
        let home = tempfile::tempdir().expect("a directory");
        let base = Base::default_in(home.path());
        let cwd = home.path().join("project");
        fs::create_dir_all(cwd.join(".claude")).expect("creates");
        fs::create_dir_all(&base.dir).expect("creates");
        let put = |path: &Path, text: &str| {
            std::io::Write::write_all(&mut File::create(path).expect("creates"), text.as_bytes())
                .expect("writes");
        };
        let find =
            |arguments: &[&str], variable| find(arguments.iter().copied(), variable, &cwd, &base);
        assert_eq!(find(&[], None), None);
        put(&base.settings(), r#"{"model":"base"}"#);
        assert_eq!(find(&[], None).as_deref(), Some("base"));
        put(&cwd.join(".claude/settings.json"), r#"{"model":"project"}"#);
        assert_eq!(find(&[], None).as_deref(), Some("project"));
        put(&cwd.join(".claude/settings.local.json"), "not json");
        assert_eq!(find(&[], None).as_deref(), Some("project"));
        assert_eq!(find(&[], Some("variable")).as_deref(), Some("variable"));
        assert_eq!(
            find(&["--model", "argument"], Some("variable")).as_deref(),
            Some("argument")
        );
    }
}
