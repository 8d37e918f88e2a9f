//! What the machine wants typed, as the steps of a script for a host.

use crate::contract::proto::host::Step;
use crate::core::pool::action::Typing;
use crate::core::prompt::{self, Prompt};

const ESCAPE: &[u8] = b"\x1b";

/// The steps of a script.
pub(super) fn steps(typing: &Typing) -> Vec<Step> {
    let steps = match typing {
        Typing::Prompt { text, clear_first } => after(*clear_first, delivery(text)),
        Typing::Clear { clear_first } => after(*clear_first, prompt::command_steps("/clear")),
        Typing::Resume { uuid, clear_first } => {
            let text = format!("/resume {}", uuid.as_str());
            after(*clear_first, prompt::command_steps(&text))
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

/// What was accepted was fit to be typed then, and is now.
fn delivery(text: &str) -> Vec<prompt::Step> {
    prompt::delivery_steps(&Prompt::accepted(text))
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
