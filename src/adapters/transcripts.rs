//! Transcripts, read from their END: what an answer costs follows from the answer, not from the file, which may have a
//! gigabyte. What the lines mean is decided by `core::transcript`.
//!
//! claude appends while we read. A file that shrinks meanwhile is read anew; bytes that are no UTF-8 are shown as such.

use crate::core::transcript::{self, Capture, LastTurn, LastTurnReader, OpeningReader, Wanted};
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
/// A longer answer is refused: a reply is one line in the memory of both sides.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How far a beginning is looked for. What claude notes before the first prompt has some hundred kilobytes.
const OPENING_BYTES: u64 = 8 * 1024 * 1024;
/// How often a file that shrinks under our hands is begun anew.
const ATTEMPTS: u32 = 3;

/// Why a transcript gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer has too many bytes.
    #[error("the answer is larger than {} MiB: ask for fewer turns or less detail", MAX_ANSWER_BYTES >> 20)]
    TooLarge,
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

/// What is wanted of a transcript, as JSONL; empty when there is none.
///
/// # Errors
/// When it cannot be read, or the answer is too large.
pub fn capture(path: &Path, wanted: Wanted) -> Result<String, TranscriptError> {
    let answer = backwards(
        path,
        || Capture::new(wanted),
        |capture, line| capture.take(line) && capture.bytes() <= MAX_ANSWER_BYTES,
    )?;
    if answer
        .as_ref()
        .is_some_and(|a| a.bytes() > MAX_ANSWER_BYTES)
    {
        return Err(TranscriptError::TooLarge);
    }
    Ok(answer.map(Capture::finish).unwrap_or_default())
}

/// How the last turn stands; nothing in it when there is no transcript.
///
/// # Errors
/// When it cannot be read.
pub fn last_turn(path: &Path) -> Result<LastTurn, TranscriptError> {
    let reader = backwards(path, LastTurnReader::default, LastTurnReader::take)?;
    Ok(reader.map(LastTurnReader::finish).unwrap_or_default())
}

/// The organisation whose credential the conversation used last; none when claude did not write it down.
///
/// # Errors
/// When it cannot be read.
pub fn last_organization(path: &Path) -> Result<Option<String>, TranscriptError> {
    let take = |found: &mut Option<String>, line: &[u8]| {
        *found = transcript::organization_in(line);
        found.is_none()
    };
    Ok(backwards(path, || None, take)?.flatten())
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
    TranscriptError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Hands the lines to `take`, last one first, until it has enough or the file is over. None when there is no file.
fn backwards<T>(
    path: &Path,
    new: impl Fn() -> T,
    take: impl Fn(&mut T, &[u8]) -> bool,
) -> Result<Option<T>, TranscriptError> {
    let mut last_error = io::Error::from(io::ErrorKind::UnexpectedEof);
    for _ in 0..ATTEMPTS {
        let mut taker = new();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(path, source)),
        };
        match lines_from_end(&file, |line| take(&mut taker, line)) {
            Ok(()) => return Ok(Some(taker)),
            // It has become shorter: begin anew with what is there now.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => last_error = error,
            Err(source) => return Err(failed(path, source)),
        }
    }
    Err(failed(path, last_error))
}

fn lines_from_end(file: &File, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
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
            if !is_too_long && !hand_over(tail, &mut pieces, &mut take) {
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
        hand_over(&[], &mut pieces, &mut take);
    }
    Ok(())
}

/// Hands over the line that begins with `head`; the pieces of its rest are in reverse.
fn hand_over(head: &[u8], pieces: &mut Vec<Vec<u8>>, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
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
            lines_from_end(&opened, |line| {
                lines.push(String::from_utf8(line.to_vec()).expect("text"));
                true
            })
            .expect("reads");
            lines.reverse();
            let expected: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            assert!(lines == expected, "padding {padding}");
            assert_eq!(capture(&path, LAST).expect("reads").lines().count(), 2);
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
        let answer = capture(&path, LAST).expect("reads");
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
        assert_eq!(capture(&none, LAST).expect("reads"), "");
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
        let result = lines_from_end(&opened, |_| {
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
}
