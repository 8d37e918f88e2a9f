//! What the machine wants typed, as the steps of a script for a host.

use crate::contract::proto::host::Step;
use crate::core::pool::action::Typing;
use crate::core::prompt::{self, Prompt};
use std::time::Duration;

const ESCAPE: &[u8] = b"\x1b";
/// Between the last character of a command and Enter: the client first looks up which command it is.
const BEFORE_SUBMIT: Duration = Duration::from_millis(120);

/// Hundreds of keys take the client a moment.
const AFTER_EMPTYING: Duration = Duration::from_millis(60);

/// The steps of a script. `pending` is what stands in the box: emptying it takes time, so what is empty is left.
/// `is_quick` says that this client takes Enter at once behind a prompt.
pub(super) fn steps(typing: &Typing, pending: &str, is_quick: bool) -> Vec<Step> {
    // What was emptied a moment ago gets its time.
    let is_quick = is_quick && pending.trim().is_empty();
    let into_box = |steps| {
        if pending.trim().is_empty() {
            steps
        } else {
            after_emptying(steps)
        }
    };
    let steps = match typing {
        Typing::Prompt(text) => into_box(delivery(text, is_quick)),
        Typing::Clear => into_box(command("/clear")),
        Typing::Resume(uuid) => into_box(command(&format!("/resume {}", uuid.as_str()))),
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
fn delivery(text: &str, is_quick: bool) -> Vec<prompt::Step> {
    let steps = if is_quick {
        prompt::quick_delivery_steps
    } else {
        prompt::delivery_steps
    };
    Prompt::parse(text, |_| true).map_or_else(|_| Vec::new(), |prompt| steps(&prompt))
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

fn after_emptying(steps: Vec<prompt::Step>) -> Vec<prompt::Step> {
    let mut all = prompt::clear_steps();
    all.push(prompt::Step::Pause(AFTER_EMPTYING));
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

    fn written(typing: &Typing, pending: &str) -> Vec<String> {
        let text = |step: Step| match step {
            Step::Write(bytes) => String::from_utf8(bytes).expect("is text"),
            Step::Pause(ms) => format!("{ms} ms"),
        };
        steps(typing, pending, false)
            .into_iter()
            .map(text)
            .collect()
    }

    #[test]
    fn a_prompt_is_pasted_and_submitted_alone_into_an_empty_box() {
        let prompt = Typing::Prompt(Arc::from("a b"));
        let plain = written(&prompt, "\u{a0}");
        assert!(plain[0].starts_with("\x1b[200~a b"), "{plain:?}");
        assert_eq!(plain.last().map(String::as_str), Some("\r"));
        let cleared = written(&prompt, "half");
        assert!(cleared.len() > plain.len() && cleared.ends_with(&plain));
    }

    #[test]
    fn only_one_short_paste_into_an_empty_box_is_submitted_at_once() {
        let lines = "one\ntwo\nthree\nfour";
        let rows = [
            ("a b", "", true, 10),
            ("a b", "", false, 100),
            ("a b", "half", true, 100),
            (lines, "", true, 100),
            ("see /tmp/a.png", "", true, 100),
        ];
        for (text, pending, is_quick, expected) in rows {
            let steps = steps(&Typing::Prompt(Arc::from(text)), pending, is_quick);
            let pause = &steps[steps.len() - 2];
            assert_eq!(*pause, Step::Pause(expected), "{text:?} {pending:?}");
        }
    }

    #[test]
    fn commands_and_keys() {
        assert_eq!(written(&Typing::Clear, ""), ["/clear", "120 ms", "\r"]);
        assert_eq!(written(&Typing::Submit, "x"), ["\r"]);
        assert_eq!(written(&Typing::Interrupt, "x"), ["\x1b"]);
        assert!(!holds_input(&Typing::Interrupt) && holds_input(&Typing::Submit));
    }
}
