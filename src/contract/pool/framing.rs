//! Lines: what was received becomes messages, without reading or waiting.

/// The longest request, in bytes, its end not counted.
pub const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// What the received bytes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line that is not blank, without its end.
    Text(Vec<u8>),
    /// A line over the bound. Nothing comes after it.
    TooLarge,
}

/// Bytes on their way to becoming lines.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Before this there is no end of a line.
    searched: usize,
    most: usize,
    /// A line was too long.
    broken: bool,
}

impl Lines {
    /// Of requests: a line has at most [`MAX_REQUEST`] bytes.
    #[must_use]
    pub const fn of_requests() -> Self {
        Self::with_bound(MAX_REQUEST)
    }

    /// Of replies, which may have any size: a transcript is as long as it is.
    #[must_use]
    pub const fn of_replies() -> Self {
        Self::with_bound(usize::MAX)
    }

    const fn with_bound(most: usize) -> Self {
        Self {
            buffer: Vec::new(),
            begin: 0,
            searched: 0,
            most,
            broken: false,
        }
    }

    /// Takes what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        // What was handed out goes before more is kept, so that every byte is moved once at most.
        self.buffer.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line; none until more was received.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that goes on after its end would surprise"
    )]
    pub fn next(&mut self) -> Option<Line> {
        while !self.broken {
            let rest = &self.buffer[self.searched..];
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return (self.buffer.len() - self.begin > self.most).then(|| self.too_large());
            };
            let end = self.searched + length;
            if end - self.begin > self.most {
                return Some(self.too_large());
            }
            let line = &self.buffer[self.begin..end];
            let line = line.trim_ascii();
            let line = (!line.is_empty()).then(|| line.to_vec());
            self.begin = end + 1;
            self.searched = self.begin;
            if line.is_some() {
                return line.map(Line::Text);
            }
        }
        None
    }

    fn too_large(&mut self) -> Line {
        self.broken = true;
        self.buffer = Vec::new();
        self.begin = 0;
        self.searched = 0;
        Line::TooLarge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &mut Lines, bytes: &str) -> Vec<String> {
        lines.push(bytes.as_bytes());
        std::iter::from_fn(|| lines.next())
            .map(|line| match line {
                Line::Text(text) => String::from_utf8(text).expect("is text"),
                Line::TooLarge => "too large".to_owned(),
            })
            .collect()
    }

    #[test]
    fn lines_come_out_however_they_came_in_and_blank_ones_do_not() {
        let mut lines = Lines::of_requests();
        assert_eq!(read(&mut lines, "{\"a\""), [""; 0]);
        assert_eq!(read(&mut lines, ":1}\r\n\n  \n{}"), ["{\"a\":1}"]);
        assert_eq!(read(&mut lines, "\nx\ny\n"), ["{}", "x", "y"]);
        assert_eq!(read(&mut lines, ""), [""; 0]);
    }

    #[test]
    fn a_line_over_the_bound_is_told_once_with_or_without_its_end() {
        for text in ["123456", "123456\nx\n"] {
            let mut lines = Lines::with_bound(5);
            assert_eq!(read(&mut lines, "12345\n"), ["12345"]);
            assert_eq!(read(&mut lines, text), ["too large"]);
            assert_eq!(read(&mut lines, "more\n"), [""; 0]);
        }
    }

    #[test]
    fn any_way_of_cutting_gives_the_same_lines() {
        let text = "one\n\ntwo two\n{\"three\":3}\n";
        for step in 1..text.len() {
            let mut lines = Lines::of_requests();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(step) {
                let chunk = std::str::from_utf8(chunk).expect("is text");
                found.extend(read(&mut lines, chunk));
            }
            assert_eq!(found, ["one", "two two", "{\"three\":3}"], "{step}");
        }
    }
}
