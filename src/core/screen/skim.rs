//! Passing over lines that nobody will ever see: of a flood of text only the last lines stay, on the screen or above it.
//! Following every character of the others would cost more than all else a host does.

use std::ops::Range;

/// The longest sequence that sets how text looks; nobody writes one of a tenth of that.
const MAX_STYLE: usize = 256;

/// Where the part of `bytes` begins that has to be followed, when the last `lines` lines are all that stays of text. 0
/// when nothing can be passed over.
///
/// What can be passed over has no control characters but line ends, tabs and sequences that set how text looks. What is
/// followed begins with a return to the first column, so that nothing after it depends on what was before but the look,
/// which [`styles`] has.
pub(super) fn begin(bytes: &[u8], lines: usize) -> usize {
    let mut end = bytes.len();
    for _ in 0..=lines {
        let Some(at) = bytes[..end].iter().rposition(|byte| *byte == b'\n') else {
            return 0;
        };
        end = at;
    }
    let begin = end.saturating_sub(1);
    if bytes[begin] == b'\r' && is_calm(bytes) {
        begin
    } else {
        0
    }
}

/// The sequences in text that may be passed over which tell how the text after it looks, in order: those since all was
/// set back to the usual look.
pub(super) fn styles(passed: &[u8]) -> Vec<Range<usize>> {
    let mut styles = Vec::new();
    let mut end = passed.len();
    while let Some(at) = passed[..end].iter().rposition(|byte| *byte == 0x1b) {
        let style = at..end_of_style(passed, at).unwrap_or(passed.len());
        let resets = matches!(&passed[style.clone()], b"\x1b[m" | b"\x1b[0m");
        styles.push(style);
        if resets {
            break;
        }
        end = at;
    }
    styles.reverse();
    styles
}

/// Whether nothing in it moves but from line to line. A sequence may be cut at the end.
fn is_calm(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        match end_of_style(rest, at) {
            Some(end) => rest = &rest[end..],
            None => return is_cut_style(&rest[at..]),
        }
    }
    true
}

/// Printable, part of a character of several bytes, or an end of a line. No tab stop, bell or backspace matters once
/// its line is gone, but escapes, shifts and vertical moves do.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || matches!(byte, b'\n' | b'\r' | b'\t' | 0x07 | 0x08)
}

/// Where the sequence ends that begins there and sets how text looks; none when it is another one, or none.
fn end_of_style(bytes: &[u8], at: usize) -> Option<usize> {
    let numbers = bytes[at..].strip_prefix(b"\x1b[")?;
    let length = numbers
        .iter()
        .take(MAX_STYLE)
        .position(|byte| !is_number(*byte))?;
    (numbers[length] == b'm').then_some(at + 2 + length + 1)
}

fn is_cut_style(end: &[u8]) -> bool {
    let numbers = end.strip_prefix(b"\x1b[").unwrap_or_default();
    end == b"\x1b"
        || !numbers.is_empty() && numbers.iter().all(|b| is_number(*b))
        || end == b"\x1b["
}

const fn is_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b';' | b':')
}
