//! How a transcript begins: where the conversation was started, and with which words.

use super::record::{Kind, Record};
use std::path::{Path, PathBuf};

/// Takes a transcript's lines from the first on until it knows how the conversation began.
#[derive(Debug, Default)]
pub struct OpeningReader {
    cwd: Option<PathBuf>,
    prompt: Option<String>,
}

impl OpeningReader {
    /// Takes the next line. False when no further one is needed.
    pub fn take(&mut self, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line);
        if let Some(record) = Record::parse(&text) {
            self.take_record(&record);
        }
        self.cwd.is_none() || self.prompt.is_none()
    }

    /// The directory that the conversation was started in: that of the first record that names one. Later ones may name
    /// others, since a session can change its directory.
    #[must_use]
    pub fn cwd(&self) -> Option<&Path> {
        self.cwd.as_deref()
    }

    /// The first prompt as it was typed; none when nobody has asked for anything yet.
    #[must_use]
    pub fn prompt(&self) -> Option<&str> {
        self.prompt.as_deref()
    }

    fn take_record(&mut self, record: &Record<'_>) {
        if record.flag("isSidechain") {
            return;
        }
        if self.cwd.is_none() {
            self.cwd = record.text("cwd").map(PathBuf::from);
        }
        if self.prompt.is_none() && record.kind() == Kind::Prompt {
            self.prompt = record.prompt_text();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], cwd: Option<&str>, prompt: Option<&str>) {
        let mut reader = OpeningReader::default();
        let _ = lines.iter().all(|line| reader.take(line.as_bytes()));
        assert_eq!(reader.cwd(), cwd.map(Path::new), "{lines:?}");
        assert_eq!(reader.prompt(), prompt, "{lines:?}");
    }

    #[test]
    fn the_first_directory_and_the_first_prompt_count() {
        let prompt = |text: &str, cwd: &str| {
            format!(r#"{{"type":"user","cwd":"{cwd}","message":{{"content":"{text}"}}}}"#)
        };
        let (one, two) = (prompt("one", "/a"), prompt("two", "/a/b"));
        let clear = prompt("<command-name>/clear</command-name>", "/a");
        let aside = r#"{"type":"user","isSidechain":true,"cwd":"/x","message":{"content":"no"}}"#;
        check(&[&one, &two], Some("/a"), Some("one"));
        check(&[&clear, &two], Some("/a"), Some("two"));
        check(&[aside, "not a record", &two], Some("/a/b"), Some("two"));
        check(&[&clear], Some("/a"), None);
        check(&[], None, None);
    }
}
