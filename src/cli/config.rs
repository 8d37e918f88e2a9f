//! `ccp config`: the settings, shown and changed without an editor.

use super::arguments::ConfigAction;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::files::{self, Lock, PRIVATE_FILE};
use crate::contract::exit;
use crate::contract::paths::Home;
use crate::contract::settings::keys::{KEYS, Key, find};
use crate::contract::settings::{Flow, Provider, Renew, Settings, commented_default, set};
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// How long another `ccp config` or `ccp init` is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `ccp config`.
pub fn run(context: &Context, action: Option<&ConfigAction>) -> Outcome {
    match action {
        None | Some(ConfigAction::Show) => show(context),
        Some(ConfigAction::Get { key }) => get(context, key),
        Some(ConfigAction::Set { key, value }) => change(context, key, value),
        Some(ConfigAction::Path) => print(&context.home.config().display().to_string()),
    }
}

fn show(context: &Context) -> Outcome {
    let settings = context.settings()?;
    let mut lines = Vec::new();
    for key in KEYS {
        lines.push(format!("{} = {}", key.path(), value_of(&settings, key)));
    }
    let pools = of_pools(&settings).into_iter();
    lines.extend(pools.map(|(path, value)| format!("{path} = {value}")));
    print(&lines.join("\n"))
}

fn get(context: &Context, path: &str) -> Outcome {
    let settings = context.settings()?;
    let key = path
        .split_once('.')
        .and_then(|(table, name)| find(table, name));
    let of_pools = of_pools(&settings);
    if let Some((_, value)) = of_pools.iter().find(|(key, _)| key == path) {
        return print(value);
    }
    let Some(key) = key else {
        // The same words as for a change of a key that does not exist.
        let problem = set("", path, "").expect_err("there is no such key");
        return Err(Failure::new(problem)
            .hint("`ccp help config` explains every key")
            .code(exit::USAGE));
    };
    print(&value_of(&settings, key))
}

/// What the tables of pools say: key and value.
fn of_pools(settings: &Settings) -> Vec<(String, String)> {
    let pools = settings.pools.named.iter();
    let keys = pools.flat_map(|(name, table)| {
        let written = table.written().into_iter();
        written.map(move |(key, value)| (format!("pool.{name}.{key}"), value))
    });
    keys.collect()
}

fn change(context: &Context, key: &str, value: &str) -> Outcome {
    if key == "overlay.base" {
        let hint = format!("`ccp init --base {value}`");
        return Err(Failure::new(
            "the base is changed by `ccp init`, which looks after running sessions",
        )
        .hint(hint));
    }
    // Also tells whether the home is ours.
    let store = context.open_store()?;
    edit(context, key, value)?;
    context.publish(&store)?;
    Ok(exit::OK)
}

/// Changes one key of the file, under a lock. A file that does not exist begins as the commented default.
pub(super) fn edit(context: &Context, key: &str, value: &str) -> Result<(), Failure> {
    let _lock = lock(&context.home)?;
    let text = context.config_text()?.unwrap_or_else(commented_default);
    let edited = set(&text, key, value)
        .map_err(|e| Failure::new(e).hint("`ccp help config` explains every key"))?;
    if edited != text || !context.home.config().exists() {
        write(context, &edited)?;
    }
    Ok(())
}

/// Writes the commented default where there is no file. Returns whether it did.
pub(super) fn create(context: &Context) -> Result<bool, Failure> {
    let _lock = lock(&context.home)?;
    if context.config_text()?.is_some() {
        return Ok(false);
    }
    write(context, &commented_default())?;
    Ok(true)
}

/// The file may be a link into somebody's dotfiles: what it leads to is replaced.
fn write(context: &Context, text: &str) -> Result<(), Failure> {
    let path = context.home.config();
    let target: PathBuf = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    files::replace(&target, text.as_bytes(), PRIVATE_FILE)
        .map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))
}

fn lock(home: &Home) -> Result<Lock, Failure> {
    let path = home.state_lock();
    let fail = |e: io::Error| Failure::new(format!("cannot lock {}: {e}", path.display()));
    files::create_private_dir(home.path()).map_err(fail)?;
    Lock::acquire(&path, PATIENCE)
        .map_err(fail)?
        .ok_or_else(|| {
            Failure::new(format!("{} stayed locked by another ccp", path.display()))
                .hint("try again")
        })
}

/// A value as it would stand in the file.
fn value_of(settings: &Settings, key: &Key) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let list = |words: Vec<&str>| {
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        format!("[{}]", words.join(", "))
    };
    match (key.table, key.name) {
        ("usage", "sources") => list(settings.sources.iter().map(|s| s.name()).collect()),
        ("login", "renew") => quoted(match settings.renew {
            Renew::Claude => "claude",
            Renew::Direct => "direct",
        }),
        ("overlay", "provider") => quoted(match settings.provider {
            Provider::Symlink => "symlink",
        }),
        ("overlay", "settings") => quoted(match settings.flow {
            Flow::OneWay => "one-way",
            Flow::TwoWay => "two-way",
        }),
        ("overlay", "base") => quoted(&settings.base),
        ("daemon", "autostart") => settings.autostart.to_string(),
        ("pool", "handoff") => quoted(settings.pools.handoff.name()),
        ("pool", "allow_extra_usage") => settings.pools.allow_extra_usage.to_string(),
        ("env", "keep") => list(settings.keep_env.iter().map(String::as_str).collect()),
        // A test holds this list against the table of keys.
        _ => key.default.to_owned(),
    }
}

fn print(text: &str) -> Outcome {
    writeln!(io::stdout(), "{text}").map_err(|e| Failure::new(format!("cannot print: {e}")))?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_shown_as_it_would_be_written() {
        for key in KEYS {
            let shown = |settings: &Settings| value_of(settings, key);
            assert_eq!(shown(&Settings::default()), key.default, "{}", key.path());
            let other = match key.path().as_str() {
                "usage.sources" => r#"["oauth"]"#,
                "login.renew" => r#""direct""#,
                "overlay.provider" => r#""symlink""#,
                "overlay.settings" => r#""two-way""#,
                "overlay.base" => r#""/x y""#,
                "daemon.autostart" => "false",
                "pool.handoff" => r#""never""#,
                "pool.allow_extra_usage" => "true",
                "env.keep" => r#"["ANTHROPIC_API_KEY"]"#,
                path => panic!("{path} is not shown"),
            };
            let text = set("", &key.path(), other).expect("takes the value");
            let settings = Settings::parse(&text).expect("is valid");
            assert_eq!(shown(&settings), other, "{}", key.path());
        }
    }
}
