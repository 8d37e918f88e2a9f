//! Characters that are cut between two reads. The parser would join them too, but its version 0.15 loses the character
//! after one that was cut, when a third begins within the same four bytes.

/// The beginning of a character whose rest has not come yet.
#[derive(Debug, Default)]
pub(super) struct Cut {
    bytes: Vec<u8>,
}

impl Cut {
    /// What has to be followed now: the character that was cut, complete or replaced, and what comes after it. The
    /// beginning of a character at the end is kept for the next time.
    pub fn join<'a>(&mut self, bytes: &'a [u8]) -> (String, &'a [u8]) {
        let mut rest = bytes;
        let mut before = String::new();
        if let Some(first) = self.bytes.first() {
            let wanted = length(*first) - self.bytes.len();
            let more = rest.iter().take(wanted).take_while(|b| is_inside(**b));
            let (inside, after) = rest.split_at(more.count());
            self.bytes.extend_from_slice(inside);
            if inside.len() < wanted && after.is_empty() {
                return (before, after);
            }
            before = String::from_utf8_lossy(&self.bytes).into_owned();
            self.bytes.clear();
            rest = after;
        }
        let (whole, cut) = rest.split_at(rest.len() - cut_at_end(rest));
        self.bytes.extend_from_slice(cut);
        (before, whole)
    }
}

/// How many bytes at the end are the beginning of a character.
fn cut_at_end(bytes: &[u8]) -> usize {
    let inside = bytes
        .iter()
        .rev()
        .take(3)
        .take_while(|b| is_inside(**b))
        .count();
    let Some(first) = bytes.len().checked_sub(inside + 1) else {
        return 0;
    };
    if length(bytes[first]) > inside + 1 {
        inside + 1
    } else {
        0
    }
}

const fn is_inside(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The length of a character by its first byte; 1 for one that begins none.
const fn length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}
