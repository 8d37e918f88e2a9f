//! Passing over lines that nobody will ever see: of a flood of plain text only the last lines stay, on the screen or
//! above it. Following every character of the others would cost as much as all else a host does.

/// Where the part of `bytes` begins that has to be followed, when the last `lines` lines are all that stays of plain
/// text. 0 when nothing can be passed over.
///
/// What can be passed over has no control characters but line ends and tabs. What is followed begins with a return to
/// the first column, so that nothing after it depends on what was before.
pub(super) fn begin(bytes: &[u8], lines: usize) -> usize {
    let mut end = bytes.len();
    for _ in 0..=lines {
        let Some(at) = bytes[..end].iter().rposition(|byte| *byte == b'\n') else {
            return 0;
        };
        end = at;
    }
    let begin = end.saturating_sub(1);
    if bytes[begin] == b'\r' && bytes.iter().all(|byte| is_plain(*byte)) {
        begin
    } else {
        0
    }
}

/// Printable, part of a character of several bytes, or an end of a line. No tab stop, bell or backspace matters once
/// its line is gone, but escapes, shifts and vertical moves do.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || matches!(byte, b'\n' | b'\r' | b'\t' | 0x07 | 0x08)
}
