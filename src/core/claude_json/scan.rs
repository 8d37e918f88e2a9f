//! Walks over the text of a JSON document and hands out slices of it. It accepts what JSON is and nothing else, and does
//! not know what any value means: on the way to a launch megabytes pass through here that nobody asks about.

/// A place in a text. Every step moves on over white space first, and is none where the text is not JSON; the walk is
/// over then.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Which brackets are open inside the value that is passed: no stack is needed, however deep it is.
    open: Vec<u8>,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            open: Vec::new(),
        }
    }

    /// Passes an object. At each value, `each` is called with the key, quotes and escapes and all, and has to pass the
    /// value. None too where there is something else than an object.
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let key = self.key()?;
            each(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    /// Passes a value and returns its text.
    pub fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.open.clear();
        loop {
            if self.begin_value()? {
                continue;
            }
            loop {
                let Some(open) = self.open.last() else {
                    return Some(&self.text[start..self.at]);
                };
                let in_object = *open == b'{';
                if self.peek()? == b',' {
                    self.at += 1;
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
                self.take(if in_object { b'}' } else { b']' })?;
                self.open.pop();
            }
        }
    }

    /// Whether nothing follows.
    pub fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Passes a value, or the opening bracket of one and what stands before its first value. True in the latter case.
    fn begin_value(&mut self) -> Option<bool> {
        let first = self.peek()?;
        match first {
            b'{' | b'[' => {
                self.at += 1;
                let next = self.peek()?;
                if next == if first == b'{' { b'}' } else { b']' } {
                    self.at += 1;
                    return Some(false);
                }
                self.open.push(first);
                if first == b'{' {
                    self.key()?;
                }
                return Some(true);
            }
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => return None,
        }
        Some(false)
    }

    /// Passes a key and its colon.
    fn key(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        self.string()?;
        let key = &self.text[start..self.at];
        self.take(b':')?;
        Some(key)
    }

    /// Passes a string, from its opening quote on.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let run = plain_run(rest)?;
            self.at += run + 1;
            match rest[run] {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Passes an escape, from behind its backslash on. Half of a surrogate pair is one too: JavaScript writes it.
    fn escape(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += match rest.first()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 1,
            b'u' if rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return None,
        };
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.here() == Some(b'-') {
            self.at += 1;
        }
        match self.here()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.here() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.here(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.here(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.here(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(())
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let found = self.peek()? == byte;
        self.at += 1;
        found.then_some(())
    }

    /// The next byte that is no white space, which is passed.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.here()? {
                b' ' => self.at += spaces(&self.text.as_bytes()[self.at..]),
                b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn here(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

// Most of a file is text and indentation: both are looked at eight bytes at a time.

/// A byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Marks the first byte that is zero with its highest bit; bytes behind it may be marked too.
const fn first_zero(word: u64) -> u64 {
    word.wrapping_sub(eight(1)) & !word & eight(0x80)
}

/// How many bytes of a string stand before the next quote, backslash or control character; none when there is none.
fn plain_run(rest: &[u8]) -> Option<usize> {
    let (words, tail) = rest.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(eight(0x20)) & !word & eight(0x80);
        let quote = first_zero(word ^ eight(b'"'));
        let backslash = first_zero(word ^ eight(b'\\'));
        let found = control | quote | backslash;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let in_tail = tail
        .iter()
        .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))?;
    Some(words.len() * 8 + in_tail)
}

/// How many spaces `rest` starts with, or some of them; it starts with one.
fn spaces(rest: &[u8]) -> usize {
    rest.first_chunk().map_or(1, |word| {
        (u64::from_le_bytes(*word) ^ eight(b' ')).trailing_zeros() as usize / 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    /// The text of the one value in `text`.
    fn only_value(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value()?;
        scanner.is_at_end().then_some(value)
    }

    /// The judge: another implementation of the same grammar.
    fn is_json(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn the_corners_of_the_grammar_are_judged_as_elsewhere() {
        let rows = "0 -0 00 01 -1 - -a 1. 1.5 .5 1.e1 1e 1e5 1E+5 1e-05 1e+ +1 0x1 1_0 NaN \
            true tru truex True false null nul nulls t \
            \"\" \" \"a\" \"a \"\\\" \"\\\\\" \"\\/\" \"\\b\\f\\n\\r\\t\" \"\\u00e9\" \"\\ud800\" \"\\u12\" \"\\u12g4\" \"\\x\" 'a' \
            \"\u{7f}\" \"é\u{2028}\" \"\u{1}\" \"\\ué123\" \
            [] [1] [1,2] [,] [1,] [,1] [1 [] ] [1]] [[]] [[1],[2]] [1}{] [} \
            {} {1} {\"a\"} {\"a\":} {\"a\":1} {\"a\":1,} {,} {\"a\":1,\"b\":2} {a:1} {\"a\":1]} {\"a\":{\"b\":[{}]}} \
            {\"a\":1:2} {\"a\",1} [\"a\":1] {\"a\":1\"b\":2} {1:2} {\"a\"1} \u{feff}{} \u{a0}1 \u{0}";
        for text in rows
            .split(' ')
            .chain(["", " ", " 1 ", "1 2", "\t\r\n[\n]", "[1 2]", "\u{c}1"])
        {
            assert_eq!(only_value(text).is_some(), is_json(text), "{text:?}");
        }
    }

    #[test]
    fn an_object_is_passed_key_by_key() {
        let mut scanner = Scanner::new(" { \"a\" : [1, {}] ,\n\"\\u0062\":\"}\" } x");
        let mut found = Vec::new();
        let passed = scanner.object(|scanner, key| {
            found.push((key, scanner.value()?));
            Some(())
        });
        assert!(passed.is_some() && !scanner.is_at_end());
        assert_eq!(found, [("\"a\"", "[1, {}]"), ("\"\\u0062\"", "\"}\"")]);
        for bad in ["", "[]", "1", "{\"a\":1", "{\"a\" 1}", "{,}", "{\"a\":1,}"] {
            let passed = Scanner::new(bad).object(|scanner, _| scanner.value().map(drop));
            assert_eq!(passed, None, "{bad}");
        }
    }

    /// Texts that often are JSON, and nearly JSON otherwise.
    fn text() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "1",
            "-0.5e+3",
            "0",
            "01",
            "true",
            "null",
            "nul",
            "\"\"",
            "\"a\\\"\\u00e9é\"",
            "\"\\ud800\"",
            "\"\t\"",
            "{}",
            "[ ]",
        ]);
        let value = leaf
            .prop_map(str::to_owned)
            .prop_recursive(5, 40, 5, |inner| {
                let list = prop::collection::vec(inner, 0..5);
                (list, any::<bool>(), "[ \n]{0,2}").prop_map(|(values, object, gap)| {
                    let key = if object { "\"k\":" } else { "" };
                    let entries: Vec<String> = values
                        .iter()
                        .map(|v| format!("{gap}{key}{gap}{v}"))
                        .collect();
                    let all = entries.join(",");
                    if object {
                        format!("{{{all}}}")
                    } else {
                        format!("[{all}{gap}]")
                    }
                })
            });
        // One character in the middle is taken out or put in.
        (
            value,
            any::<prop::sample::Index>(),
            prop::option::of("[]\\[{}:,\"\\\\0a-]?"),
        )
            .prop_map(|(value, at, change)| {
                let mut characters: Vec<char> = value.chars().collect();
                if let Some(change) = change {
                    let at = at.index(characters.len());
                    characters.splice(at..=at, change.chars());
                }
                characters.into_iter().collect()
            })
    }

    proptest! {
        #[test]
        fn what_is_json_is_decided_as_elsewhere(text in text(), noise in "\\PC{0,12}", long in "[a-zé\u{80}\u{ff}\"\\\\\u{1f}\u{20}]{0,30}") {
            prop_assert_eq!(only_value(&text), is_json(&text).then(|| text.trim()));
            for text in [noise, format!("\"{long}\""), format!("[ \"{long}\"        ]")] {
                prop_assert_eq!(only_value(&text).is_some(), is_json(&text), "{:?}", text);
            }
        }
    }
}
