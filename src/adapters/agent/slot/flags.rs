//! A pool's flags: the words that every claude of it gets. What would make claude something else than a session that
//! waits for prompts is refused, by name.

use super::words::{Unbalanced, split};

/// The flags of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    words: Vec<String>,
    settings: Vec<String>,
    model: Option<String>,
    permission_mode: Option<String>,
    skips_permissions: bool,
}

/// Why flags are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagsError {
    /// A quote is open at the end.
    #[error("the pool's flags have an unclosed {0}")]
    OpenQuote(char),
    /// They end in a backslash that means nothing.
    #[error("the pool's flags end in a backslash")]
    Backslash,
    /// A flag takes the slot away from the pool.
    #[error("`{flag}` cannot be a flag of a pool: {why}")]
    Breaks {
        /// Which.
        flag: String,
        /// What it would do.
        why: &'static str,
    },
    /// A flag that needs a value has none.
    #[error("`{0}` needs a value in the pool's flags")]
    NoValue(String),
    /// A word that is no flag would be sent to the model at every start.
    #[error("`{0}` in the pool's flags is no flag: claude would take it for a prompt or a command")]
    Word(String),
}

/// How many words after a flag are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    None,
    One,
    Optional,
    Many,
}

const NOT_INTERACTIVE: &str = "it makes claude print one answer and end";
const OTHER_SESSION: &str = "the pool decides which conversation a slot has";
const LEAVES: &str = "it takes the session out of the pool's hands";
const ENDS: &str = "claude would answer it and end";
const NO_LOGIN: &str = "it switches off what a slot needs (hooks, the login or transcripts)";

/// Flags that break a slot (names and meanings from `claude --help` of 2.1.329 and 2.1.197).
const BREAKING: &[(&str, &str)] = &[
    ("-p", NOT_INTERACTIVE),
    ("--print", NOT_INTERACTIVE),
    ("--input-format", NOT_INTERACTIVE),
    ("--output-format", NOT_INTERACTIVE),
    ("--json-schema", NOT_INTERACTIVE),
    ("--replay-user-messages", NOT_INTERACTIVE),
    ("--include-partial-messages", NOT_INTERACTIVE),
    ("--include-hook-events", NOT_INTERACTIVE),
    ("--max-turns", NOT_INTERACTIVE),
    ("--init-only", ENDS),
    ("-c", OTHER_SESSION),
    ("--continue", OTHER_SESSION),
    ("-r", OTHER_SESSION),
    ("--resume", OTHER_SESSION),
    ("--session-id", OTHER_SESSION),
    ("--fork-session", OTHER_SESSION),
    ("--from-pr", OTHER_SESSION),
    ("--teleport", OTHER_SESSION),
    ("--bg", LEAVES),
    ("--background", LEAVES),
    ("--cloud", LEAVES),
    ("--remote", LEAVES),
    ("--environment", LEAVES),
    ("--desktop", LEAVES),
    ("--remote-control", LEAVES),
    ("--tmux", LEAVES),
    ("-w", LEAVES),
    ("--worktree", LEAVES),
    ("-v", ENDS),
    ("--version", ENDS),
    ("-h", ENDS),
    ("--help", ENDS),
    ("--bare", NO_LOGIN),
    ("--safe-mode", NO_LOGIN),
    ("--no-session-persistence", NO_LOGIN),
];

/// Flags with values (the same source). A flag that is not known here may have one.
const VALUES: &[(&str, Values)] = &[
    ("--add-dir", Values::Many),
    ("--agent", Values::One),
    ("--agents", Values::One),
    ("--allow-dangerously-skip-permissions", Values::None),
    ("--allowedTools", Values::Many),
    ("--allowed-tools", Values::Many),
    ("--append-system-prompt", Values::One),
    ("--append-system-prompt-file", Values::One),
    ("--autocompact", Values::One),
    ("--ax-screen-reader", Values::None),
    ("--betas", Values::Many),
    ("--brief", Values::None),
    ("--chrome", Values::None),
    ("--dangerously-skip-permissions", Values::None),
    ("-d", Values::Optional),
    ("--debug", Values::Optional),
    ("--debug-file", Values::One),
    ("--disable-slash-commands", Values::None),
    ("--disallowedTools", Values::Many),
    ("--disallowed-tools", Values::Many),
    ("--effort", Values::One),
    ("--exclude-dynamic-system-prompt-sections", Values::None),
    ("--fallback-model", Values::One),
    ("--file", Values::Many),
    ("--forward-subagent-text", Values::None),
    ("--ide", Values::None),
    ("--max-budget-usd", Values::One),
    ("--mcp-config", Values::Many),
    ("--model", Values::One),
    ("-n", Values::One),
    ("--name", Values::One),
    ("--no-chrome", Values::None),
    ("--permission-mode", Values::One),
    ("--permission-prompts", Values::One),
    ("--plugin-dir", Values::One),
    ("--plugin-url", Values::One),
    ("--prompt-suggestions", Values::Optional),
    ("--restricted", Values::None),
    ("--setting-sources", Values::One),
    ("--settings", Values::One),
    ("--strict-mcp-config", Values::None),
    ("--system-prompt", Values::One),
    ("--system-prompt-file", Values::One),
    ("--system-prompt-snapshot", Values::One),
    ("--tools", Values::Many),
    ("--verbose", Values::None),
];

impl Flags {
    /// Splits a line as a shell does, and looks at every flag.
    ///
    /// # Errors
    /// When it cannot be split, or holds what would break a slot.
    pub fn parse(line: &str) -> Result<Self, FlagsError> {
        let words = split(line).map_err(|unbalanced| match unbalanced {
            Unbalanced::Quote(quote) => FlagsError::OpenQuote(quote),
            Unbalanced::Backslash => FlagsError::Backslash,
        })?;
        let mut flags = Self::default();
        let mut rest = words.into_iter().peekable();
        while let Some(word) = rest.next() {
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let values = values_of(name)?;
            let is_value = |next: &String| !next.starts_with('-') || next == "-";
            let value = match (&inline, values) {
                (Some(_), _) => inline,
                (None, Values::None) => None,
                // claude takes whatever follows, a dash in front or not.
                (None, Values::One) => {
                    let next = rest.next();
                    Some(next.ok_or_else(|| FlagsError::NoValue(name.to_owned()))?)
                }
                (None, Values::Optional | Values::Many) => rest.next_if(is_value),
            };
            let more = matches!(values, Values::Many) && value.is_some();
            flags.take(name, value);
            while more && let Some(next) = rest.next_if(is_value) {
                flags.words.push(next);
            }
        }
        Ok(flags)
    }

    fn take(&mut self, name: &str, value: Option<String>) {
        match (name, &value) {
            // Given back merged with our own.
            ("--settings", Some(settings)) => return self.settings.push(settings.clone()),
            ("--model", Some(model)) => self.model = Some(model.clone()),
            ("--permission-mode", Some(mode)) => self.permission_mode = Some(mode.clone()),
            ("--dangerously-skip-permissions", _) => self.skips_permissions = true,
            _ => {}
        }
        self.words.push(name.to_owned());
        self.words.extend(value);
    }

    /// The words for claude, without `--settings`.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// What `--settings` named, in order: JSON or a file.
    pub(super) fn settings(&self) -> &[String] {
        &self.settings
    }

    /// The model that was asked for, as it was spelled; an alias (`sonnet`) is not what hooks report.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The permission mode that a slot begins with, as hooks spell it; none when claude's settings decide.
    #[must_use]
    pub fn permission_mode(&self) -> Option<&str> {
        if self.skips_permissions {
            return Some(BYPASS);
        }
        self.permission_mode.as_deref()
    }

    /// Whether claude would ask at its start whether bypassing permissions is meant.
    #[must_use]
    pub fn bypasses_permissions(&self) -> bool {
        self.permission_mode() == Some(BYPASS)
    }
}

const BYPASS: &str = "bypassPermissions";

fn values_of(name: &str) -> Result<Values, FlagsError> {
    if name == "--" || !name.starts_with('-') {
        return Err(FlagsError::Word(name.to_owned()));
    }
    if let Some((_, why)) = BREAKING.iter().find(|(flag, _)| *flag == name) {
        let flag = name.to_owned();
        return Err(FlagsError::Breaks { flag, why });
    }
    if let Some((_, values)) = VALUES.iter().find(|(flag, _)| *flag == name) {
        return Ok(*values);
    }
    if !name.starts_with("--") && name.len() > 2 {
        // Short flags in one word: the first that breaks a slot speaks for them.
        for letter in name.chars().skip(1) {
            values_of(&format!("-{letter}"))?;
        }
    }
    // A later claude has flags that are not known here.
    Ok(Values::Optional)
}
