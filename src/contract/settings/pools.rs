//! `[pool]` and `[pool.NAME]`: what the person says about session pools, and what of it counts for one of them.

use super::check::{SettingsError, check_value, line_of, nearest};
use super::edit::quote;
use super::keys::{Kind, Value};
use crate::contract::paths::pool::is_pool_name;
pub use crate::core::select::moving::Policy as Handoff;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

impl Handoff {
    /// The words of the file.
    pub(super) const WORDS: &[&str] = &["always", "never", "auto"];

    /// As it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Auto => "auto",
        }
    }

    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "always" => Self::Always,
            "never" => Self::Never,
            _ => Self::Auto,
        }
    }
}

/// `[pool]` with its tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// `[pool] handoff`: for pools that do not say otherwise.
    pub handoff: Handoff,
    /// `[pool] allow_extra_usage`: for pools that do not say otherwise.
    pub allow_extra_usage: bool,
    /// `[pool.NAME]`, by name.
    pub named: BTreeMap<String, PoolTable>,
}

/// One `[pool.NAME]`, as it is written: none where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolTable {
    /// How many slots, from 1 on.
    pub size: Option<u32>,
    /// Arguments for every claude of the pool.
    pub flags: Option<String>,
    /// Where its claudes run: absolute, or starting with `~`.
    pub dir: Option<String>,
    /// How many slots are kept fresh.
    pub keep_fresh: Option<u32>,
    /// Whether the daemon of the accounts keeps it running.
    pub autostart: Option<bool>,
    /// Whether paid use beyond the plan is wanted.
    pub allow_extra_usage: Option<bool>,
    /// When its sessions go on under another account.
    pub handoff: Option<Handoff>,
    /// The accounts its slots may use, as the person names them.
    pub accounts: Option<Vec<String>>,
}

/// What counts for one pool: its own table, then `[pool]`, then the defaults. Size, flags, directory and `keep_fresh` are
/// none where the file is silent: then the pool's own `config.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSettings {
    /// How many slots.
    pub size: Option<u32>,
    /// Arguments for every claude of the pool.
    pub flags: Option<String>,
    /// Where its claudes run: absolute, or starting with `~`.
    pub dir: Option<String>,
    /// How many slots are kept fresh.
    pub keep_fresh: Option<u32>,
    /// Whether the daemon of the accounts keeps it running. A pool without a table it does not.
    pub autostart: bool,
    /// Whether paid use beyond the plan is wanted. Nothing is billed unless somebody said so.
    pub allow_extra_usage: bool,
    /// When its sessions go on under another account.
    pub handoff: Handoff,
    /// The accounts its slots may use, as the person names them; none: all.
    pub accounts: Option<Vec<String>>,
}

impl PoolTable {
    /// What it says, key by key, as it would be written.
    #[must_use]
    pub fn written(&self) -> Vec<(&'static str, String)> {
        let names = |names: &Vec<String>| {
            let quoted: Vec<String> = names.iter().map(|name| quote(name)).collect();
            format!("[{}]", quoted.join(", "))
        };
        let rows = [
            ("size", self.size.map(|size| size.to_string())),
            ("flags", self.flags.as_deref().map(quote)),
            ("dir", self.dir.as_deref().map(quote)),
            ("keep_fresh", self.keep_fresh.map(|count| count.to_string())),
            ("autostart", self.autostart.map(|flag| flag.to_string())),
            (
                "allow_extra_usage",
                self.allow_extra_usage.map(|flag| flag.to_string()),
            ),
            ("handoff", self.handoff.map(|handoff| quote(handoff.name()))),
            ("accounts", self.accounts.as_ref().map(names)),
        ];
        let set = rows.into_iter();
        set.filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

impl Pools {
    /// What counts for the pool of this name, whether or not it has a table.
    #[must_use]
    pub fn of(&self, name: &str) -> PoolSettings {
        let table = self.named.get(name);
        let autostart = table.is_some_and(|table| table.autostart.unwrap_or(true));
        let table = table.cloned().unwrap_or_default();
        PoolSettings {
            size: table.size,
            flags: table.flags,
            dir: table.dir,
            keep_fresh: table.keep_fresh,
            autostart,
            allow_extra_usage: table.allow_extra_usage.unwrap_or(self.allow_extra_usage),
            handoff: table.handoff.unwrap_or(self.handoff),
            accounts: table.accounts,
        }
    }
}

/// One key of `[pool.NAME]`.
#[derive(Debug)]
pub struct PoolKey {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// A value, as it would be written.
    pub example: &'static str,
    /// What it is for: full sentences, one line each.
    pub explanation: &'static [&'static str],
    store: fn(&mut PoolTable, Value),
}

/// What the tables are about.
pub const ABOUT: &[&str] = &[
    "One table for each pool of sessions that is kept running, by the pool's name.",
    "What it says counts before the pool's own config.json; what it leaves out, that file says.",
];

/// Every key of `[pool.NAME]`, in the order of the default file.
pub const POOL_KEYS: &[PoolKey] = &[
    PoolKey {
        name: "size",
        kind: Kind::Count(1),
        example: "3",
        explanation: &["How many claudes it keeps."],
        store: |t, v| t.size = v.count(),
    },
    PoolKey {
        name: "flags",
        kind: Kind::Text,
        example: r#""--permission-mode acceptEdits""#,
        explanation: &["Arguments for every claude of the pool, split as a shell splits them."],
        store: |t, v| t.flags = Some(v.text()),
    },
    PoolKey {
        name: "dir",
        kind: Kind::Directory,
        example: r#""~""#,
        explanation: &["The directory in which they run."],
        store: |t, v| t.dir = Some(v.text()),
    },
    PoolKey {
        name: "keep_fresh",
        kind: Kind::Count(0),
        example: "1",
        explanation: &["How many of them are kept free for new sessions, where that can be."],
        store: |t, v| t.keep_fresh = v.count(),
    },
    PoolKey {
        name: "autostart",
        kind: Kind::Flag,
        example: "true",
        explanation: &[
            "true: the daemon of the accounts starts the pool, and starts it again when it died.",
        ],
        store: |t, v| t.autostart = Some(v.text() == "true"),
    },
    PoolKey {
        name: "allow_extra_usage",
        kind: Kind::Flag,
        example: "false",
        explanation: &["For this pool, instead of [pool] allow_extra_usage."],
        store: |t, v| t.allow_extra_usage = Some(v.text() == "true"),
    },
    PoolKey {
        name: "handoff",
        kind: Kind::Word(Handoff::WORDS),
        example: r#""auto""#,
        explanation: &["For this pool, instead of [pool] handoff."],
        store: |t, v| t.handoff = Some(Handoff::of_word(&v.text())),
    },
    PoolKey {
        name: "accounts",
        kind: Kind::Names,
        example: r#"["work"]"#,
        explanation: &[
            "The only accounts that its claudes may use, by label, email or id; all, where it is left out.",
        ],
        store: |t, v| t.accounts = Some(v.list()),
    },
];

/// Puts `[pool.NAME]` where it belongs; what is wrong is added to `errors`.
pub(super) fn check_pool(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    entries: &DeTable<'_>,
    text: &str,
    pools: &mut Pools,
    errors: &mut Vec<SettingsError>,
) {
    let mut wrong = |at: usize, problem: String| {
        let line = line_of(text, at);
        errors.push(SettingsError { line, problem });
    };
    let pool = name.get_ref().as_ref();
    if !is_pool_name(pool) {
        let problem = format!(
            "`{}` is no name of a pool: up to 64 letters, digits, `.`, `_` and `-`, of which `.` and `-` do not come first",
            pool.escape_debug()
        );
        return wrong(name.span().start, problem);
    }
    let table = pools.named.entry(pool.to_owned()).or_default();
    for (key, value) in entries {
        let at = key.span().start;
        let Some(known) = POOL_KEYS.iter().find(|k| k.name == key.get_ref()) else {
            wrong(at, unknown_key(pool, key.get_ref(), value.get_ref()));
            continue;
        };
        match check_value(&format!("pool.{pool}.{}", known.name), known.kind, value) {
            Ok(value) => (known.store)(table, value),
            Err((at, problem)) => wrong(at, problem),
        }
    }
}

fn unknown_key(pool: &str, key: &str, value: &DeValue<'_>) -> String {
    let known = || POOL_KEYS.iter().map(|k| k.name);
    if let DeValue::Table(_) = value {
        return format!(
            "unknown table pool.{pool}.{key}: a pool named \"{pool}.{key}\" is [pool.\"{pool}.{key}\"]"
        );
    }
    match nearest(key, known()) {
        Some(near) => format!("unknown key pool.{pool}.{key}: did you mean pool.{pool}.{near}?"),
        None => format!(
            "unknown key pool.{pool}.{key}: [pool.{pool}] has {}",
            known().collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests;
