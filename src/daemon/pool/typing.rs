//! What the machine wants typed, as the steps of a script for a host.

use crate::contract::proto::host::Step;
use crate::core::pool::action::Typing;
use crate::core::prompt::{self, Prompt};
use std::time::Duration;

const ESCAPE: &[u8] = b"\x1b";
/// Between the last character of a command and Enter: the client first looks up which command it is.
const BEFORE_SUBMIT: Duration = Duration::from_millis(120);

/// The steps of a script.
pub(super) fn steps(typing: &Typing) -> Vec<Step> {
    let steps = match typing {
        Typing::Prompt { text, clear_first } => after(*clear_first, delivery(text)),
        Typing::Clear { clear_first } => after(*clear_first, command("/clear")),
        Typing::Resume { uuid, clear_first } => {
            after(*clear_first, command(&format!("/resume {}", uuid.as_str())))
        }
        Typing::Submit => prompt::submit_steps(),
        Typing::Interrupt | Typing::CloseRewind => vec![prompt::Step::Write(ESCAPE.to_vec())],
        Typing::EmptyBox => prompt::clear_steps(),
        Typing::PutBack(text) => prompt::restore_steps(text),
    };
    steps.into_iter().map(step).collect()
}

/// Whether people's keys wait while it is typed: they would end up in the middle of it.
pub(super) const fn holds_input(typing: &Typing) -> bool {
    !matches!(typing, Typing::Interrupt | Typing::CloseRewind)
}

/// What was accepted is fit to be typed; the custom command that it may name was there then.
fn delivery(text: &str) -> Vec<prompt::Step> {
    Prompt::parse(text, |_| true).map_or_else(|_| Vec::new(), |p| prompt::delivery_steps(&p))
}

/// A command of the client itself: not pasted, so that it is taken for one.
fn command(text: &str) -> Vec<prompt::Step> {
    let mut steps = vec![
        prompt::Step::Write(text.as_bytes().to_vec()),
        prompt::Step::Pause(BEFORE_SUBMIT),
    ];
    steps.extend(prompt::submit_steps());
    steps
}

fn after(clear_first: bool, steps: Vec<prompt::Step>) -> Vec<prompt::Step> {
    let mut all = if clear_first {
        prompt::clear_steps()
    } else {
        Vec::new()
    };
    all.extend(steps);
    all
}

fn step(step: prompt::Step) -> Step {
    match step {
        prompt::Step::Write(bytes) => Step::Write(bytes),
        prompt::Step::Pause(time) => {
            Step::Pause(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn written(typing: &Typing) -> Vec<String> {
        let text = |step: Step| match step {
            Step::Write(bytes) => String::from_utf8(bytes).expect("is text"),
            Step::Pause(ms) => format!("{ms} ms"),
        };
        steps(typing).into_iter().map(text).collect()
    }

    #[test]
    fn a_prompt_is_pasted_and_submitted_alone() {
        let prompt = |text: &str, clear_first| Typing::Prompt {
            text: Arc::from(text),
            clear_first,
        };
        let plain = written(&prompt("a b", false));
        assert_eq!(plain[0], "\x1b[200~a b\x1b[201~");
        assert_eq!(plain.last().map(String::as_str), Some("\r"));
        let cleared = written(&prompt("a b", true));
        assert!(cleared.len() > plain.len() && cleared.ends_with(&plain));
    }

    #[test]
    fn commands_and_keys() {
        let clear = Typing::Clear { clear_first: false };
        assert_eq!(written(&clear), ["/clear", "120 ms", "\r"]);
        assert_eq!(written(&Typing::Submit), ["\r"]);
        assert_eq!(written(&Typing::Interrupt), ["\x1b"]);
        assert!(!holds_input(&Typing::Interrupt) && holds_input(&Typing::Submit));
    }
}
