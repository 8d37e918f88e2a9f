//! Transcripts, read from their END: what an answer costs follows from the answer, not from the file, which may have a
//! gigabyte. What the lines mean is decided by `core::transcript`.
//!
//! claude appends while we read. A file that shrinks meanwhile is read anew; bytes that are no UTF-8 are shown as such.

use crate::core::transcript::{
    self, Capture, Detail, LastTurn, LastTurnReader, OpeningReader, Part, Wanted,
};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The first block from the end; it holds the last turn of most sessions. Each next one is twice as long.
const FIRST_BLOCK: usize = 64 * 1024;
const LAST_BLOCK: usize = 1024 * 1024;
/// A longer line is passed over: no record of a conversation has as much, and memory is not theirs to take.
pub const MAX_LINE_BYTES: usize = if cfg!(test) { 1 << 20 } else { 32 << 20 };
/// How far a beginning is looked for. What claude notes before the first prompt has some hundred kilobytes.
const OPENING_BYTES: u64 = 8 * 1024 * 1024;
/// How often a file that shrinks under our hands is begun anew.
const ATTEMPTS: u32 = 3;

/// Why a transcript gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct TranscriptError {
    /// Which.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// Where the transcript of a session is that began in `cwd`, a real path. claude makes the file at the first prompt.
#[must_use]
pub fn path_of(config_dir: &Path, cwd: &Path, session: &str) -> PathBuf {
    // Without a slash at the end.
    let cwd: PathBuf = cwd.components().collect();
    let dir = transcript::project_dir_name(&cwd.to_string_lossy());
    let projects = config_dir.join("projects");
    projects.join(dir).join(format!("{session}.jsonl"))
}

/// The same by looking into every project, for a session whose directory is not known.
#[must_use]
pub fn find(config_dir: &Path, session: &str) -> Option<PathBuf> {
    let name = format!("{session}.jsonl");
    let projects = std::fs::read_dir(config_dir.join("projects")).ok()?;
    projects
        .flatten()
        .map(|project| project.path().join(&name))
        .find(|path| path.is_file())
}

/// A transcript of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// The id of its session.
    pub session: String,
    /// When it was last written.
    pub modified: SystemTime,
}

/// The transcripts among which those of sessions are that began in `cwd`, a real path; newest first. Directories of
/// similar names share a place, so that [`opening`] has to tell which one a transcript is of.
///
/// # Errors
/// When they cannot be listed. A directory where claude never ran has none.
pub fn list(config_dir: &Path, cwd: &Path) -> Result<Vec<Listed>, TranscriptError> {
    let any = path_of(config_dir, cwd, "any");
    let dir = any.parent().unwrap_or(config_dir);
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(dir, source)),
    };
    let listed = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let name = path.file_name()?.to_str()?;
        let session = name.strip_suffix(".jsonl").filter(|id| is_session_id(id))?;
        let metadata = std::fs::metadata(&path).ok().filter(|m| m.is_file())?;
        Some(Listed {
            session: session.to_owned(),
            modified: metadata.modified().ok()?,
            path,
        })
    };
    let mut found: Vec<Listed> = entries.flatten().filter_map(listed).collect();
    found.sort_by(|a, b| (b.modified, &b.session).cmp(&(a.modified, &a.session)));
    Ok(found)
}

/// Whether this is a UUID as claude writes it: the transcripts of its own helpers have other names.
fn is_session_id(name: &str) -> bool {
    let is_dash = |index| matches!(index, 8 | 13 | 18 | 23);
    let fits = |(index, byte): (usize, u8)| {
        if is_dash(index) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    };
    name.len() == 36 && name.bytes().enumerate().all(fits)
}

/// How the conversation began, as far as the first megabytes tell.
///
/// # Errors
/// When it cannot be read.
pub fn opening(path: &Path) -> Result<OpeningReader, TranscriptError> {
    let read = || -> io::Result<OpeningReader> {
        let mut reader = OpeningReader::default();
        let mut lines =
            BufReader::with_capacity(FIRST_BLOCK, File::open(path)?.take(OPENING_BYTES));
        let mut line = Vec::new();
        while read_line(&mut lines, &mut line)? && reader.take(&line) {}
        Ok(reader)
    };
    read().map_err(|source| failed(path, source))
}

/// How many bytes it has; 0 for one that is not there. Noted before a prompt is typed.
///
/// # Errors
/// When that cannot be told.
pub fn length(path: &Path) -> Result<u64, TranscriptError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(failed(path, source)),
    }
}

/// What is wanted of a transcript, its lines in their order; none when there is none.
///
/// # Errors
/// When it cannot be read.
pub fn capture(path: &Path, wanted: Wanted) -> Result<Captured, TranscriptError> {
    let found = backwards(path, || Capture::new(wanted), Capture::take)?;
    let (capture, file) = found.map_or((None, None), |(c, file)| (Some(c), Some(file)));
    Ok(Captured {
        path: path.to_owned(),
        file,
        detail: wanted.detail,
        parts: capture.map(Capture::finish).unwrap_or_default().into_iter(),
    })
}

/// The lines of an answer. The last megabyte of it is in memory, what is before is read when it is handed over.
#[derive(Debug)]
pub struct Captured {
    path: PathBuf,
    file: Option<File>,
    detail: Detail,
    parts: std::vec::IntoIter<Part>,
}

impl Captured {
    /// Whether some of it is still to be read.
    #[must_use]
    pub fn is_long(&self) -> bool {
        // The end is what is kept.
        let first = self.parts.as_slice().first();
        matches!(first, Some(Part::Line { .. }))
    }

    /// All of it, as JSONL, without a line feed at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(self) -> Result<String, TranscriptError> {
        let lines: Result<Vec<String>, _> = self.collect();
        Ok(lines?.join("\n"))
    }

    fn read(&self, at: u64, bytes: usize) -> io::Result<String> {
        let mut line = vec![0; bytes];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut line, at)?;
        }
        let shown = transcript::shown(self.detail, &line);
        shown.ok_or_else(|| io::Error::other("it has changed while it was read"))
    }
}

impl Iterator for Captured {
    type Item = Result<String, TranscriptError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.parts.next()? {
            Part::Text(text) => Ok(text),
            Part::Line { at, bytes } => {
                let read = self.read(at, bytes);
                read.map_err(|source| failed(&self.path, source))
            }
        })
    }
}

/// How the last turn stands; nothing in it when there is no transcript.
///
/// # Errors
/// When it cannot be read.
pub fn last_turn(path: &Path) -> Result<LastTurn, TranscriptError> {
    let take = |reader: &mut LastTurnReader, _, line: &[u8]| reader.take(line);
    let found = backwards(path, LastTurnReader::default, take)?;
    Ok(found.map(|(reader, _)| reader.finish()).unwrap_or_default())
}

/// The organisation whose credential the conversation used last; none when claude did not write it down.
///
/// # Errors
/// When it cannot be read.
pub fn last_organization(path: &Path) -> Result<Option<String>, TranscriptError> {
    let take = |found: &mut Option<String>, _, line: &[u8]| {
        *found = transcript::organization_in(line);
        found.is_none()
    };
    Ok(backwards(path, || None, take)?.and_then(|(found, _)| found))
}

/// Whether a prompt that was typed as `typed` was written down beyond `offset`. A file that has become shorter than that
/// is another one, and is looked through whole.
///
/// # Errors
/// When it cannot be read.
pub fn has_prompt(path: &Path, offset: u64, typed: &str) -> Result<bool, TranscriptError> {
    let search = || -> io::Result<bool> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let start = if file.metadata()?.len() < offset {
            0
        } else {
            offset
        };
        file.seek(SeekFrom::Start(start))?;
        let mut lines = BufReader::with_capacity(FIRST_BLOCK, file);
        let mut line = Vec::new();
        while read_line(&mut lines, &mut line)? {
            if transcript::is_record_of(&line, typed) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    search().map_err(|source| failed(path, source))
}

/// Reads a line into `line`, cut at the bound; false at the end.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let bound = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    if lines.by_ref().take(bound).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() != Some(&b'\n') && line.len() == MAX_LINE_BYTES {
        line.clear();
        lines.skip_until(b'\n')?;
    }
    Ok(true)
}

fn failed(path: &Path, source: io::Error) -> TranscriptError {
    let path = path.to_owned();
    TranscriptError { path, source }
}

/// Hands the lines to `take`, each with where it begins, last one first, until it has enough or the file is over. None
/// when there is no file.
fn backwards<T>(
    path: &Path,
    new: impl Fn() -> T,
    take: impl Fn(&mut T, u64, &[u8]) -> bool,
) -> Result<Option<(T, File)>, TranscriptError> {
    let mut last_error = io::Error::from(io::ErrorKind::UnexpectedEof);
    for _ in 0..ATTEMPTS {
        let mut taker = new();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(path, source)),
        };
        match lines_from_end(&file, |at, line| take(&mut taker, at, line)) {
            Ok(()) => return Ok(Some((taker, file))),
            // It has become shorter: begin anew with what is there now.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => last_error = error,
            Err(source) => return Err(failed(path, source)),
        }
    }
    Err(failed(path, last_error))
}

fn lines_from_end(file: &File, mut take: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut start = file.metadata()?.len();
    let mut block = FIRST_BLOCK;
    // Beginnings of lines whose end was read before: the part read last is at the end.
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut pieces_bytes = 0;
    let mut is_too_long = false;
    while start > 0 {
        let size = usize::try_from(start).unwrap_or(usize::MAX).min(block);
        block = (block * 2).min(LAST_BLOCK);
        start -= size as u64;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, start)?;
        let mut end = bytes.len();
        while let Some(feed) = bytes[..end].iter().rposition(|byte| *byte == b'\n') {
            let tail = &bytes[feed + 1..end];
            let at = start + feed as u64 + 1;
            if !is_too_long && !hand_over(tail, &mut pieces, |line| take(at, line)) {
                return Ok(());
            }
            pieces.clear();
            (pieces_bytes, is_too_long, end) = (0, false, feed);
        }
        pieces_bytes += end;
        is_too_long |= pieces_bytes > MAX_LINE_BYTES;
        if is_too_long {
            pieces.clear();
        } else {
            bytes.truncate(end);
            pieces.push(bytes);
        }
    }
    if !is_too_long {
        hand_over(&[], &mut pieces, |line| take(0, line));
    }
    Ok(())
}

/// Hands over the line that begins with `head`; the pieces of its rest are in reverse.
fn hand_over(head: &[u8], pieces: &mut Vec<Vec<u8>>, mut take: impl FnMut(&[u8]) -> bool) -> bool {
    if pieces.is_empty() {
        return head.is_empty() || take(head);
    }
    let mut line = Vec::with_capacity(head.len() + pieces.iter().map(Vec::len).sum::<usize>());
    line.extend_from_slice(head);
    for piece in pieces.drain(..).rev() {
        line.extend_from_slice(&piece);
    }
    line.is_empty() || take(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::transcript::Detail;
    use std::io::Write;

    const LAST: Wanted = Wanted {
        turns: 1,
        detail: Detail::Last,
    };

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("t.jsonl");
        let mut file = File::create(&path).expect("creates");
        file.write_all(bytes).expect("writes");
        (home, path)
    }

    fn all_of(path: &Path, wanted: Wanted) -> String {
        let captured = capture(path, wanted).expect("reads");
        captured.text().expect("reads")
    }

    fn turn(prompt: &str, answer: &str) -> String {
        format!(
            "{{\"type\":\"user\",\"message\":{{\"content\":\"{prompt}\"}}}}\n{{\"type\":\"assistant\",\"message\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{answer}\"}}]}}}}\n"
        )
    }

    #[test]
    fn lines_of_any_length_come_back_whole_from_the_end() {
        for padding in [
            0,
            10,
            FIRST_BLOCK - 40,
            FIRST_BLOCK,
            3 * FIRST_BLOCK,
            900_000,
        ] {
            let text = turn("one", &"x".repeat(padding)) + "\n\n" + &turn("two", "y");
            let (_home, path) = file(text.as_bytes());
            let mut lines = Vec::new();
            let opened = File::open(&path).expect("opens");
            lines_from_end(&opened, |_, line| {
                lines.push(String::from_utf8(line.to_vec()).expect("text"));
                true
            })
            .expect("reads");
            lines.reverse();
            let expected: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            assert!(lines == expected, "padding {padding}");
            assert_eq!(all_of(&path, LAST).lines().count(), 2);
        }
    }

    #[test]
    fn what_is_torn_foreign_or_too_long_is_passed_over() {
        let mut bytes = turn("one", "a").into_bytes();
        bytes.extend_from_slice(
            b"\xff\xfe not text\n{\"type\":\"assistant\",\"message\":{\"content\":\"b\xff\"}}\n",
        );
        bytes.extend_from_slice(&vec![b'z'; MAX_LINE_BYTES + 10]);
        bytes.extend_from_slice(b"\n{\"type\":\"assistant\",\"mess");
        let (_home, path) = file(&bytes);
        let answer = all_of(&path, LAST);
        assert!(
            answer.ends_with("{\"type\":\"assistant\",\"message\":{\"content\":\"b\u{fffd}\"}}"),
            "{answer}"
        );
        assert!(last_turn(&path).expect("reads").followed);
        assert!(
            !has_prompt(&path, 5, "one").expect("reads"),
            "before the offset"
        );
        assert!(has_prompt(&path, 0, "one").expect("reads"));
    }

    #[test]
    fn no_file_is_no_turn_and_a_shorter_one_is_read_anew() {
        let (home, path) = file(turn("one", "a").as_bytes());
        let none = home.path().join("none.jsonl");
        assert_eq!(all_of(&none, LAST), "");
        assert_eq!(last_turn(&none).expect("reads"), LastTurn::default());
        assert!(!has_prompt(&none, 0, "one").expect("reads"));
        assert_eq!(length(&none).expect("looks"), 0);
        assert!(
            has_prompt(&path, 100_000, "one").expect("reads"),
            "another file by now"
        );
        assert!(capture(home.path(), LAST).is_err(), "a directory");

        let opened = File::open(&path).expect("opens");
        let shrink = File::options().write(true).open(&path).expect("opens");
        let long = "x".repeat(4 * FIRST_BLOCK);
        (&shrink)
            .write_all((turn("long", &long) + &turn("two", "b")).as_bytes())
            .expect("writes");
        let result = lines_from_end(&opened, |_, _| {
            shrink.set_len(0).expect("shrinks");
            true
        });
        assert_eq!(
            result.map_err(|e| e.kind()),
            Err(io::ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn the_transcripts_of_a_directory_are_listed_newest_first() {
        let home = tempfile::tempdir().expect("a directory");
        let cwd = Path::new("/srv/w.3");
        assert_eq!(list(home.path(), cwd).expect("none"), []);
        let ids = [
            "11111111-2222-4333-8444-555555555555",
            "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
        ];
        let dir = home.path().join("projects/-srv-w-3");
        std::fs::create_dir_all(dir.join(format!("{}.jsonl", ids[0].replace('1', "2"))))
            .expect("makes a directory of such a name");
        for (age, id) in (1..).zip(ids) {
            let mut file = File::create(path_of(home.path(), cwd, id)).expect("creates");
            let prompt = turn("first", "x") + &turn("second", "y");
            file.write_all(prompt.as_bytes()).expect("writes");
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age * 100);
            file.set_modified(at).expect("sets");
        }
        for other in ["agent-12.jsonl", "notes.txt", "11111111-2222.jsonl"] {
            File::create(dir.join(other)).expect("creates");
        }
        let found = list(home.path(), cwd).expect("lists");
        let names: Vec<_> = found.iter().map(|l| l.session.as_str()).collect();
        assert_eq!(names, [ids[1], ids[0]]);
        let opening = opening(&found[0].path).expect("reads");
        assert_eq!((opening.prompt(), opening.cwd()), (Some("first"), None));
    }

    #[test]
    fn the_credential_that_was_used_last_is_found() {
        let changed = |organization: &str| {
            format!(
                r#"{{"type":"attachment","attachment":{{"type":"credential_org","organizationUuid":"{organization}"}}}}"#
            ) + "\n"
        };
        let (_home, path) = file(turn("credential_org", "x").as_bytes());
        assert_eq!(last_organization(&path).expect("reads"), None);
        let text = changed("a") + &turn("one", "x") + &changed("b") + &turn("two", "y");
        let (_home, path) = file(text.as_bytes());
        let found = last_organization(&path).expect("reads");
        assert_eq!(found.as_deref(), Some("b"));
    }

    #[test]
    fn places_are_claudes_own() {
        let path = path_of(Path::new("/c"), Path::new("/srv/w.3/"), "id");
        assert_eq!(path, Path::new("/c/projects/-srv-w-3/id.jsonl"));
        let home = tempfile::tempdir().expect("a directory");
        assert_eq!(find(home.path(), "id"), None);
        let there = path_of(home.path(), Path::new("/srv"), "id");
        std::fs::create_dir_all(there.parent().expect("has one")).expect("makes");
        File::create(&there).expect("creates");
        assert_eq!(find(home.path(), "id"), Some(there));
    }

    #[test]
    fn a_long_answer_is_read_while_it_is_handed_over() {
        let turns: String = (0..3000)
            .map(|n| turn(&format!("p{n}"), &"y".repeat(1000)))
            .collect();
        let (_home, path) = file(turns.as_bytes());
        for detail in [Detail::Raw, Detail::Tools] {
            let all = Wanted { turns: 0, detail };
            let captured = capture(&path, all).expect("reads");
            assert!(captured.is_long());
            assert!(captured.text().expect("reads") == turns.trim_end());
            let some = Wanted { turns: 5, detail };
            let captured = capture(&path, some).expect("reads");
            assert!(!captured.is_long());
            let lines: Vec<&str> = turns.lines().collect();
            assert_eq!(
                captured.text().expect("reads"),
                lines[lines.len() - 10..].join("\n")
            );
        }
        // One that is cut meanwhile is no answer.
        let all = Wanted {
            turns: 0,
            detail: Detail::Raw,
        };
        let captured = capture(&path, all).expect("reads");
        File::create(&path).expect("empties it");
        assert!(captured.text().is_err());
    }
}
