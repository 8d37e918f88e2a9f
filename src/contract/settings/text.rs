//! The texts about settings: what `ccp help config` prints, and the file a new home starts with.

use super::keys::{KEYS, TABLES};
use super::pools::{ABOUT, POOL_KEYS};
use std::fmt::Write as _;

/// Every key with what it takes, its default and its explanation.
#[must_use]
pub fn help() -> String {
    let mut text = String::new();
    for (table, about) in TABLES {
        let _ = writeln!(text, "[{table}]  {about}");
        for key in KEYS.iter().filter(|k| k.table == *table) {
            let _ = writeln!(text, "\n  {} = {}", key.name, key.default);
            let _ = writeln!(text, "      Takes {}.", key.kind.expected());
            for line in key.explanation {
                let _ = writeln!(text, "      {line}");
            }
        }
        text.push('\n');
        if *table == "pool" {
            help_pools(&mut text);
        }
    }
    text
}

/// A `config.toml` in which every key stands as a comment with its default: it changes nothing.
#[must_use]
pub fn commented_default() -> String {
    let mut text = String::from(
        "# Settings of ccp. Every key is shown with its default; remove the `#` before one to change it.\n\
         # `ccp help config` explains them, `ccp config set KEY VALUE` edits this file.\n",
    );
    for (table, about) in TABLES {
        let _ = writeln!(text, "\n# {about}\n[{table}]");
        for key in KEYS.iter().filter(|k| k.table == *table) {
            for line in key.explanation {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "# {} = {}", key.name, key.default);
        }
        if *table == "pool" {
            comment_pools(&mut text);
        }
    }
    text
}

fn help_pools(text: &mut String) {
    let _ = writeln!(text, "[pool.NAME]  {}", ABOUT.join("\n  "));
    for key in POOL_KEYS {
        let _ = writeln!(text, "\n  {} = {}", key.name, key.example);
        let _ = writeln!(text, "      Takes {}.", key.kind.expected());
        for line in key.explanation {
            let _ = writeln!(text, "      {line}");
        }
    }
    text.push('\n');
}

/// A table that is there counts, so that its header is a comment too.
fn comment_pools(text: &mut String) {
    text.push('\n');
    for line in ABOUT {
        let _ = writeln!(text, "# {line}");
    }
    let _ = writeln!(text, "# [pool.default]");
    for key in POOL_KEYS {
        for line in key.explanation {
            let _ = writeln!(text, "# # {line}");
        }
        let _ = writeln!(text, "# {} = {}", key.name, key.example);
    }
}
