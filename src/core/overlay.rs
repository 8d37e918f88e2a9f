//! Which entry of the base an account shares, and which it has for itself. The evidence behind the table is how the
//! agent writes each file; `docs/overlays.md` tells it at length.

use super::hash;

/// What becomes of a top-level entry of a config directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One for all: the account has a link to the base's.
    Shared,
    /// The account has its own, and the base's is never linked.
    Private,
    /// Litter of the operating system: neither linked nor looked at.
    Skipped,
}

/// How a rule matches a name. Names compare without regard to ASCII case: the file system may not regard it either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This very name.
    Is(&'static str),
    /// Any name that starts like this.
    Starts(&'static str),
    /// Any name that ends like this.
    Ends(&'static str),
    /// Any name with this in it.
    Has(&'static str),
}

impl Pattern {
    fn matches(self, lower: &[u8]) -> bool {
        match self {
            Self::Is(text) => lower == text.as_bytes(),
            Self::Starts(text) => lower.starts_with(text.as_bytes()),
            Self::Ends(text) => lower.ends_with(text.as_bytes()),
            Self::Has(text) => lower.windows(text.len()).any(|w| w == text.as_bytes()),
        }
    }
}

/// One row of the table: the first that matches decides.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Which names.
    pub pattern: Pattern,
    /// What becomes of them.
    pub class: Class,
    /// Why.
    pub reason: &'static str,
}

const fn rule(pattern: Pattern, class: Class, reason: &'static str) -> Rule {
    Rule {
        pattern,
        class,
        reason,
    }
}

use Class::{Private, Shared, Skipped};
use Pattern::{Ends, Has, Is, Starts};

/// The whole table. A name that no row matches is shared, unless it starts with a dot.
pub const RULES: &[Rule] = &[
    rule(Is(".ds_store"), Skipped, "written by the Finder"),
    rule(
        Starts("._"),
        Skipped,
        "resource forks on foreign file systems",
    ),
    rule(
        Starts(".claude.json"),
        Private,
        "identity; a shared one mixes one account's id with another's token",
    ),
    rule(
        Starts(".config.json"),
        Private,
        "the legacy identity file, used instead of .claude.json where present",
    ),
    rule(
        Starts(".credentials.json"),
        Private,
        "the login; any write replaces a link and strands a used token",
    ),
    rule(
        Starts(".last-update-result"),
        Private,
        "replaced by rename on the given path",
    ),
    rule(
        Starts("remote-settings.json"),
        Private,
        "policy of the account's organisation, replaced by rename",
    ),
    rule(
        Starts("mcp-needs-auth-cache.json"),
        Private,
        "sign-in state of the account's connectors",
    ),
    rule(
        Starts("stats-cache.json"),
        Private,
        "replaced by rename on the given path",
    ),
    rule(
        Starts("policy-limits.json"),
        Private,
        "policy of the account's organisation, replaced by rename",
    ),
    rule(
        Starts("daemon."),
        Private,
        "state and lock of the agent's own daemon, one per config directory",
    ),
    rule(Has(".tmp."), Private, "half of an atomic replacement"),
    rule(
        Ends(".lock"),
        Private,
        "a lock guards the directory it is in",
    ),
    rule(
        Has(".lock."),
        Private,
        "a lock guards the directory it is in",
    ),
    rule(
        Is("daemon"),
        Private,
        "sockets and jobs of the agent's own daemon",
    ),
    rule(
        Is("ide"),
        Private,
        "lock files with the secrets of editor connections",
    ),
    rule(
        Is("backups"),
        Private,
        "copies of the account's own .claude.json",
    ),
    rule(Is("jobs"), Private, "jobs of the agent's own daemon"),
    rule(Is("state"), Private, "per-login state"),
    rule(
        Is("chrome"),
        Private,
        "pairing of a browser with this login",
    ),
    rule(Is("cache"), Private, "caches per organisation"),
    rule(Is("statsig"), Private, "feature flags per identity"),
    rule(Is("telemetry"), Private, "events per identity"),
    rule(
        Is("remote-control"),
        Private,
        "pairing of remote devices with this login",
    ),
    rule(Is("uploads"), Private, "files uploaded under this login"),
    rule(Is("shares"), Private, "sessions shared under this login"),
    rule(Is("feedback"), Private, "reports sent under this login"),
    rule(Is("teams"), Private, "teams of the account's organisation"),
    rule(Is(".mcp.json"), Shared, "the person's own MCP servers"),
    rule(
        Is(".git"),
        Shared,
        "people keep their config directory under version control",
    ),
    rule(Is(".gitignore"), Shared, "goes with .git"),
    rule(Is(".gitattributes"), Shared, "goes with .git"),
    rule(Is(".gitmodules"), Shared, "goes with .git"),
    rule(Is(".editorconfig"), Shared, "the person's own"),
    rule(
        Is(".claude"),
        Shared,
        "project settings of the config directory itself",
    ),
    rule(
        Is(".claude-plugin"),
        Shared,
        "a plugin kept in the config directory",
    ),
    rule(
        Starts("."),
        Private,
        "a dot-file not known to be shareable may hold a login",
    ),
];

/// Directories that the agent makes when it first needs them. They are made in the base beforehand, so that they are
/// born shared.
pub const BORN_SHARED: &[&str] = &[
    "projects",
    "plans",
    "todos",
    "tasks",
    "file-history",
    "sessions",
    "shell-snapshots",
    "session-env",
    "paste-cache",
    "image-cache",
    "plugins",
];

/// Decides for one name (of a file, directory or link at the top level of a config directory).
#[must_use]
pub fn classify(name: &[u8]) -> Class {
    let lower = name.to_ascii_lowercase();
    RULES
        .iter()
        .find(|r| r.pattern.matches(&lower))
        .map_or(Class::Shared, |r| r.class)
}

/// What an entry is, without following links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A symbolic link.
    Link,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Anything else.
    Other,
}

/// A hash over the shareable entries of a listing, whatever their order. In an account directory `kinds` matter (a link
/// replaced by a file has to be seen); in the base only names do.
#[must_use]
pub fn listing_hash<'a>(entries: impl Iterator<Item = (&'a [u8], EntryKind)>, kinds: bool) -> u64 {
    let shared = entries.filter(|(name, _)| classify(name) == Class::Shared);
    // A sum does not care for the order; each name is hashed on its own, so that names cannot trade places.
    shared.fold(1, |sum: u64, (name, kind)| {
        let tag = if kinds { kind as u8 } else { 0 };
        sum.wrapping_add(hash::extend(hash::hash(name), &[b'/', tag]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_where_the_evidence_puts_them() {
        let rows = [
            ("projects", Shared),
            ("settings.json", Shared),
            ("history.jsonl", Shared),
            ("CLAUDE.md", Shared),
            ("sessions", Shared),
            ("my own folder", Shared),
            (".claude.json", Private),
            (".CLAUDE.JSON", Private),
            (".claude.json.backup.17", Private),
            (".config.json", Private),
            (".credentials.json.tmp.ab", Private),
            ("settings.json.tmp.12.ab", Private),
            ("history.jsonl.lock", Private),
            (".oauth_refresh.lock.owner", Private),
            (".unknown", Private),
            (".mcp.json", Shared),
            ("Statsig", Private),
            ("statsig2", Shared),
            ("daemon.status.json", Private),
            ("daemonic", Shared),
            (".DS_Store", Skipped),
            ("._settings.json", Skipped),
        ];
        for (name, expected) in rows {
            assert_eq!(classify(name.as_bytes()), expected, "{name}");
        }
        for name in BORN_SHARED {
            assert_eq!(classify(name.as_bytes()), Shared, "{name}");
        }
        assert_eq!(classify(b"\xff\xfe"), Shared, "names need not be text");
    }

    #[test]
    fn every_pattern_is_lower_case_and_every_row_can_be_reached() {
        for (i, rule) in RULES.iter().enumerate() {
            let (Is(text) | Starts(text) | Ends(text) | Has(text)) = rule.pattern;
            assert_eq!(text, text.to_lowercase(), "{text}");
            let first = RULES
                .iter()
                .position(|r| r.pattern.matches(text.as_bytes()));
            assert!(
                first == Some(i) || RULES[first.expect("matches itself")].class == rule.class,
                "{text} is hidden"
            );
        }
    }

    #[test]
    fn a_listing_is_told_by_its_shared_names_alone() {
        let hash = |names: &[(&str, EntryKind)], kinds| {
            listing_hash(names.iter().map(|(n, k)| (n.as_bytes(), *k)), kinds)
        };
        let two = [("a", EntryKind::Link), ("b", EntryKind::Link)];
        let turned = [("b", EntryKind::Link), ("a", EntryKind::Link)];
        let private = [
            ("a", EntryKind::Link),
            ("b", EntryKind::Link),
            (".claude.json.tmp.1", EntryKind::File),
        ];
        let replaced = [("a", EntryKind::File), ("b", EntryKind::Link)];
        assert_eq!(hash(&two, true), hash(&turned, true));
        assert_eq!(hash(&two, true), hash(&private, true));
        assert_ne!(hash(&two, true), hash(&replaced, true));
        assert_eq!(hash(&two, false), hash(&replaced, false));
        assert_ne!(hash(&two, true), hash(&two[..1], true));
    }
}
