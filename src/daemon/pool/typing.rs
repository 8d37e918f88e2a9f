//! What the machine wants typed, as the bytes a terminal sends. How the client takes them was measured with 2.1.329: text
//! sent as a bracketed paste is text whatever is in it, and a return in the same write may be lost, one that comes a
//! tenth of a second later is not.

use crate::contract::proto::host::Step;
use crate::core::pool::action::Typing;

/// Between a paste and the return that submits it, in milliseconds.
const PASTE_PAUSE: u64 = 120;
/// After a key that changes the box, in milliseconds.
const KEY_PAUSE: u64 = 40;
/// Deletes to the start of a line; once for each line, and once for the line break before it.
const CTRL_U: &[u8] = b"\x15";
/// Lines of a half typed text that are deleted at most, each with its break.
const MOST_LINES: usize = 400;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
const RETURN: &[u8] = b"\r";
const ESCAPE: &[u8] = b"\x1b";

/// The steps of a script. `pending` is what stands in the box.
pub(super) fn steps(typing: &Typing, pending: &str) -> Vec<Step> {
    match typing {
        Typing::Prompt { text, clear_first } => {
            let mut steps = emptied(*clear_first, pending);
            steps.push(paste(text));
            steps.push(Step::Pause(pause_after(text)));
            steps.push(Step::Write(RETURN.to_vec()));
            steps
        }
        Typing::Clear { clear_first } => command("/clear", *clear_first, pending),
        Typing::Resume { uuid, clear_first } => {
            let text = format!("/resume {}", uuid.as_str());
            command(&text, *clear_first, pending)
        }
        Typing::Submit => vec![Step::Write(RETURN.to_vec())],
        Typing::Interrupt | Typing::CloseRewind => vec![Step::Write(ESCAPE.to_vec())],
        Typing::EmptyBox => emptied(true, pending),
        Typing::PutBack(text) => vec![paste(text)],
    }
}

/// Whether people's keys wait while it is typed: they would end up in the middle of it.
pub(super) const fn holds_input(typing: &Typing) -> bool {
    !matches!(typing, Typing::Interrupt | Typing::CloseRewind)
}

fn command(text: &str, clear_first: bool, pending: &str) -> Vec<Step> {
    let mut steps = emptied(clear_first, pending);
    steps.push(Step::Write(text.as_bytes().to_vec()));
    steps.push(Step::Pause(PASTE_PAUSE));
    steps.push(Step::Write(RETURN.to_vec()));
    steps
}

fn emptied(wanted: bool, pending: &str) -> Vec<Step> {
    if !wanted {
        return Vec::new();
    }
    let lines = pending.lines().count().clamp(1, MOST_LINES);
    vec![
        Step::Write(CTRL_U.repeat(2 * lines)),
        Step::Pause(KEY_PAUSE),
    ]
}

/// A paste cannot be ended by what is in it.
fn paste(text: &str) -> Step {
    let mut bytes = PASTE_BEGIN.to_vec();
    bytes.extend_from_slice(text.replace("\x1b[201~", "").as_bytes());
    bytes.extend_from_slice(PASTE_END);
    Step::Write(bytes)
}

/// A long text takes the client longer.
fn pause_after(text: &str) -> u64 {
    /// Bytes that cost one more millisecond.
    const BYTES_A_MS: u64 = 1_000;
    /// Beyond this the submit key is resent when it was swallowed.
    const MOST: u64 = 1_000;
    let extra = u64::try_from(text.len()).unwrap_or(u64::MAX) / BYTES_A_MS;
    PASTE_PAUSE + extra.min(MOST)
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
        steps(typing, pending).into_iter().map(text).collect()
    }

    #[test]
    fn a_prompt_is_pasted_and_submitted_alone() {
        let prompt = |text: &str, clear_first| Typing::Prompt {
            text: Arc::from(text),
            clear_first,
        };
        assert_eq!(
            written(&prompt("a\nb", false), ""),
            ["\x1b[200~a\nb\x1b[201~", "120 ms", "\r"]
        );
        assert_eq!(
            written(&prompt("x", true), "one\ntwo")[..2],
            ["\x15\x15\x15\x15".to_owned(), "40 ms".to_owned()]
        );
        assert_eq!(
            written(&prompt("a\x1b[201~b", false), "")[0],
            "\x1b[200~ab\x1b[201~"
        );
        assert_eq!(written(&prompt(&"x".repeat(100_000), false), "")[1], "220 ms");
    }

    #[test]
    fn commands_and_keys() {
        let clear = Typing::Clear { clear_first: false };
        assert_eq!(written(&clear, ""), ["/clear", "120 ms", "\r"]);
        assert_eq!(written(&Typing::Submit, ""), ["\r"]);
        assert_eq!(written(&Typing::Interrupt, "text"), ["\x1b"]);
        assert!(!holds_input(&Typing::Interrupt) && holds_input(&Typing::Submit));
    }
}
