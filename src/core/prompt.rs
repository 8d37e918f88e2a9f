//! A prompt is text for the model: what of a client's text may be typed into claude, as what, and by which keys.
//!
//! claude reads some texts as orders to itself: a leading `/word`, a leading `!`, a word that means exit, a trailing
//! backslash. What it would obey is refused or defused here, before a key is pressed. Rules and timings were measured
//! with claude 2.1.329; where the files of custom commands are is asked of the caller.

mod steps;
mod text;

#[cfg(test)]
mod tests;

pub use steps::{
    Step, clear_steps, delivery_steps, quick_delivery_steps, restore_steps, submit_steps,
    takes_enter_at_once,
};
pub use text::same_prompt;

use std::fmt;

/// Commands of claude's own that are prompts for the model and leave the session as it is.
pub const ALLOWED: &[&str] = &["compact", "init", "review", "security-review"];

/// What ends claude when it is all there is in a prompt (its own list, in 2.1.197 and 2.1.329 alike).
pub const EXIT_WORDS: &[&str] = &["exit", "quit", ":q", ":q!", ":wq", ":wq!"];

/// The longest prompt, in bytes. It is typed: a megabyte takes claude about a minute, and more takes longer. No model's
/// context holds more than this.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A text that may be typed: nothing in it is an order to claude, and claude takes every character as it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Prompt(String);

/// Why a text is not typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// claude would obey it, not answer it. Code on the wire: `reserved_prompt`.
    Reserved {
        /// The word it would obey: `/clear`, `exit`.
        word: String,
    },
    /// Nothing is left of it that claude would submit.
    Empty,
    /// It has more than [`MAX_BYTES`].
    TooLong {
        /// How many.
        bytes: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved { word } if word.starts_with('/') => write!(
                f,
                "`{word}` is a command of Claude Code that a pool does not pass on; put other words before it to send it as text"
            ),
            Self::Reserved { word } => write!(
                f,
                "`{word}` alone ends Claude Code; put other words with it to send it as text"
            ),
            Self::Empty => write!(f, "the prompt is empty"),
            Self::TooLong { bytes } => write!(
                f,
                "a prompt has at most {MAX_BYTES} bytes, not {bytes}; put it into a file, and name that in a shorter one"
            ),
        }
    }
}

impl Prompt {
    /// Takes a client's text, or says why not. `is_custom` knows whether a command or skill of this name, without its
    /// slash, is on disk.
    ///
    /// # Errors
    /// When claude would take the text, or its first word, for an order, or when there is nothing to submit.
    pub fn parse(text: &str, is_custom: impl FnOnce(&str) -> bool) -> Result<Self, Refusal> {
        let bytes = text.len();
        if bytes > MAX_BYTES {
            return Err(Refusal::TooLong { bytes });
        }
        let mut typed = text::typed(text);
        let trimmed = typed.trim();
        if trimmed.is_empty() {
            return Err(Refusal::Empty);
        }
        if EXIT_WORDS
            .iter()
            .any(|word| trimmed.eq_ignore_ascii_case(word))
        {
            let word = trimmed.to_owned();
            return Err(Refusal::Reserved { word });
        }
        if let Some(name) = command_name(trimmed)
            && !ALLOWED.contains(&name)
            && (name.is_empty() || !is_custom(name))
        {
            let word = format!("/{name}");
            return Err(Refusal::Reserved { word });
        }
        // A leading `!` would run the rest in a shell; after a blank it is a character like any other.
        if trimmed.starts_with('!') && typed.starts_with('!') {
            typed.insert(0, ' ');
        }
        Ok(Self(typed))
    }

    /// The text as it is typed.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.0
    }

    /// Whether it is a command: of those only the name is sure to be found in what claude reports.
    #[must_use]
    pub fn is_command(&self) -> bool {
        command_name(self.0.trim()).is_some()
    }
}

impl fmt::Debug for Prompt {
    /// Prompts are not logged: their length is all that is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompt({} bytes)", self.0.len())
    }
}

/// The name after a leading slash; none for text and for a path, which claude submits as it is.
fn command_name(trimmed: &str) -> Option<&str> {
    let rest = trimmed.strip_prefix('/')?;
    let name = rest.split(char::is_whitespace).next().unwrap_or_default();
    (!name.contains('/')).then_some(name)
}
