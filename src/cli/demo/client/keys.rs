//! From typed bytes to what they mean, as the real prompt takes them: pastes whole, Enter alone submits.

const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Something the person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Submit(String),
    Escape,
    Interrupt,
    End,
}

/// Collects bytes until they mean something.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Bytes of a sequence that is not complete yet.
    pending: Vec<u8>,
    prompt: Vec<u8>,
    pasting: bool,
    /// Input is no terminal: its lines end with a newline, and nothing in it is a key.
    plain: bool,
}

impl Keys {
    pub fn new(plain: bool) -> Self {
        Self {
            plain,
            ..Self::default()
        }
    }

    /// The prompt as typed so far.
    pub fn typed(&self) -> String {
        String::from_utf8_lossy(&self.prompt).into_owned()
    }

    /// Takes in what was read at once; a lone escape at its end is the key of that name.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some(&first) = self.pending.first() {
            let taken = if first == 0x1b {
                self.escape(&mut keys)
            } else {
                self.byte(first, &mut keys)
            };
            if taken == 0 {
                break;
            }
            self.pending.drain(..taken);
        }
        keys
    }

    /// What is left at the end of the input.
    pub fn finish(&mut self) -> Option<Key> {
        (!self.prompt.is_empty()).then(|| Key::Submit(self.take()))
    }

    /// An escape sequence; returns how many bytes it has, 0 to wait for more.
    fn escape(&mut self, keys: &mut Vec<Key>) -> usize {
        for (sequence, pasting) in [(PASTE_START, true), (PASTE_END, false)] {
            if self.pending.starts_with(sequence) {
                self.pasting = pasting;
                return sequence.len();
            }
            if self.pending.len() > 1 && sequence.starts_with(&self.pending) {
                return 0;
            }
        }
        if self.pending.get(1) == Some(&b'[') {
            let end = self.pending[2..]
                .iter()
                .position(|byte| (0x40..=0x7e).contains(byte));
            return end.map_or(0, |end| end + 3);
        }
        if !self.pasting {
            keys.push(Key::Escape);
        }
        1
    }

    fn byte(&mut self, byte: u8, keys: &mut Vec<Key>) -> usize {
        match byte {
            b'\r' | b'\n' if self.pasting => self.prompt.push(b'\n'),
            b'\n' if self.plain => keys.push(Key::Submit(self.take())),
            b'\r' if self.plain => {}
            b'\r' => keys.push(Key::Submit(self.take())),
            b'\t' => self.prompt.extend_from_slice(b"    "),
            0x03 if !self.pasting => keys.push(Key::Interrupt),
            0x04 if !self.pasting => keys.push(Key::End),
            0x15 if !self.pasting => self.prompt.clear(),
            0x7f | 0x08 if !self.pasting => {
                self.prompt.pop();
            }
            b'\n' | 0x20.. => self.prompt.push(byte),
            _ => {}
        }
        1
    }

    fn take(&mut self) -> String {
        let prompt = String::from_utf8_lossy(&self.prompt).trim().to_owned();
        self.prompt.clear();
        prompt
    }
}
