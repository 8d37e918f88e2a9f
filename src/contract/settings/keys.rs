//! Every key of `config.toml`: where it stands, what it takes, what it is when absent, what it is for. A new key is a
//! row here and a field of [`Settings`].

use super::{Flow, Handoff, Provider, Renew, Settings};
use crate::contract::vars;
use crate::core::usage::Source;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The table it stands in.
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The value when it is absent, as it would be written.
    pub default: &'static str,
    /// What it is for: full sentences, one line each.
    pub explanation: &'static [&'static str],
    /// Puts a checked value where it belongs.
    pub(super) store: fn(&mut Settings, Value),
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words, none twice, at least this many.
    Words(&'static [&'static str], usize),
    /// A directory: absolute, or starting with `~/`.
    Directory,
    /// True or false.
    Flag,
    /// Any text.
    Text,
    /// A whole number, at least this.
    Count(u32),
    /// A list of names, none empty, none twice, at least one.
    Names,
}

/// A value that its key accepts.
#[derive(Debug)]
pub enum Value {
    /// Of all kinds but lists, as it would be written, without quotes.
    Text(String),
    /// Of [`Kind::Words`] and [`Kind::Names`].
    List(Vec<String>),
}

impl Value {
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::List(list) => list.join(" "),
        }
    }

    pub(super) fn count(self) -> Option<u32> {
        self.text().parse().ok()
    }

    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(list) => list,
        }
    }
}

/// What each table is about, in the order of the default file.
pub const TABLES: &[(&str, &str)] = &[
    ("usage", "Where the usage of an account comes from."),
    ("login", "How logins are kept alive."),
    (
        "overlay",
        "How every account presents your own Claude Code configuration.",
    ),
    ("daemon", "What keeps the accounts fresh in the background."),
    ("pool", "The pools of warm sessions."),
    ("env", "The environment that a launch hands to claude."),
];

/// Every key, in the order of the default file.
pub const KEYS: &[Key] = &[
    Key {
        table: "usage",
        name: "sources",
        kind: Kind::Words(&["live", "claude", "oauth"], 1),
        default: r#"["live", "claude"]"#,
        explanation: &[
            "Tried in this order.",
            "live: what running sessions report for free.",
            "claude: asks Claude Code itself, which also renews its login; no token passes through ccp.",
            "oauth: reads the usage endpoint with the account's access token.",
        ],
        store: |s, v| {
            let names = v.list();
            s.sources = names.iter().filter_map(|n| Source::from_name(n)).collect();
        },
    },
    Key {
        table: "login",
        name: "renew",
        kind: Kind::Word(&["claude", "direct"]),
        default: r#""claude""#,
        explanation: &[
            "claude: Claude Code renews a login whenever it runs or is asked for usage.",
            "direct: beside that, ccp renews the login of an account that nobody uses, shortly before its access token ends.",
            "For that it reads the login's tokens, spends the refresh token, which is good for one use, and writes the new ones.",
        ],
        store: |s, v| {
            s.renew = if v.text() == "direct" {
                Renew::Direct
            } else {
                Renew::Claude
            };
        },
    },
    Key {
        table: "overlay",
        name: "provider",
        kind: Kind::Word(&["symlink"]),
        default: r#""symlink""#,
        explanation: &["symlink: a symbolic link for each entry."],
        store: |s, _| s.provider = Provider::Symlink,
    },
    Key {
        table: "overlay",
        name: "settings",
        kind: Kind::Word(&["one-way", "two-way"]),
        default: r#""one-way""#,
        explanation: &[
            "one-way: preferences in ~/.claude.json reach the accounts at launch.",
            "two-way: a preference that is changed in an account also reaches ~/.claude.json.",
        ],
        store: |s, v| {
            s.flow = if v.text() == "two-way" {
                Flow::TwoWay
            } else {
                Flow::OneWay
            };
        },
    },
    Key {
        table: "overlay",
        name: "base",
        kind: Kind::Directory,
        default: r#""~/.claude""#,
        explanation: &[
            "The configuration directory that all accounts present. Change it with `ccp init --base DIR`.",
        ],
        store: |s, v| s.base = v.text(),
    },
    Key {
        table: "daemon",
        name: "autostart",
        kind: Kind::Flag,
        default: "true",
        explanation: &[
            "true: where no daemon runs and no service keeps one, launches and commands start it in the background.",
            "Not in CI, and not where CCP_AUTOSTART=0 is in the environment.",
            "false: a daemon runs only when you, or a service, start it.",
        ],
        store: |s, v| s.autostart = v.text() == "true",
    },
    Key {
        table: "pool",
        name: "handoff",
        kind: Kind::Word(Handoff::WORDS),
        default: r#""auto""#,
        explanation: &[
            "Whether a session that met its plan's limit goes on under another account.",
            "auto: when the reset is far away and another account has plenty left. always: when another has any. never: it waits.",
        ],
        store: |s, v| s.pools.handoff = Handoff::of_word(&v.text()),
    },
    Key {
        table: "pool",
        name: "allow_extra_usage",
        kind: Kind::Flag,
        default: "false",
        explanation: &[
            "true: where no account has anything left, sessions may go on with what is billed besides the plan.",
            "false: nothing is billed; they wait for the first reset.",
        ],
        store: |s, v| s.pools.allow_extra_usage = v.text() == "true",
    },
    Key {
        table: "env",
        name: "keep",
        kind: Kind::Words(vars::OVERRIDES, 0),
        default: "[]",
        explanation: &[
            "Variables that make claude ignore the account's login are removed at launch.",
            "Those named here are left alone.",
        ],
        store: |s, v| s.keep_env = v.list(),
    },
];

/// The key `name` of `table`.
#[must_use]
pub fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.table == table && k.name == name)
}

impl Key {
    /// `table.name`, as people write it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }
}

impl Kind {
    /// What it takes, in words.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Word([word]) => format!("\"{word}\" alone"),
            Self::Word(words) => format!("one of {}", quoted(words)),
            Self::Words(words, _) => format!("a list of {}", quoted(words)),
            Self::Flag => "true or false".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Count(least) => format!("a whole number from {least} on"),
            Self::Names => "a list of texts".to_owned(),
            Self::Directory => "a directory, absolute or starting with \"~/\"".to_owned(),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
    quoted.join(", ")
}
