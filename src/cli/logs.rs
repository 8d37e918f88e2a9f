//! `ccp logs`: the daemon's log as one text, its rotated files first. Who writes it keeps secrets out; what looks like a
//! token is masked here all the same, and control characters are shown instead of obeyed.

use super::arguments::Logs;
use super::failure::{Failure, Outcome};
use crate::adapters::procs::interrupt::{Interrupts, Woken};
use crate::contract::exit;
use crate::contract::paths::Home;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at a log that is followed.
const LOOK: Duration = Duration::from_millis(250);
/// Lines shown before following, as tail(1) does.
const SHOWN_BEFORE_FOLLOWING: usize = 10;
/// A longer line is no line of a log; its rest is left out.
const MAX_LINE: usize = 64 * 1024;
/// More rotated files than anybody keeps.
const MAX_ROTATED: u32 = 100;
/// The exit code after Ctrl-C, as shells report it: the expected end of following.
const CTRL_C: u8 = exit::INTERRUPTED;

/// Runs `ccp logs`.
pub fn run(home: &Home, arguments: &Logs) -> Outcome {
    let log = home.daemon_log();
    let files = files(&log);
    if files.is_empty() {
        return Err(Failure::new(format!(
            "there is no log yet: {} is not there",
            log.display()
        ))
        .hint("`ccp service status` tells whether the daemon runs"));
    }
    let mut out = io::stdout().lock();
    let last = arguments
        .lines
        .or_else(|| arguments.follow.then_some(SHOWN_BEFORE_FOLLOWING));
    let followed = print(&log, &files, last, &mut out).map_err(unprintable)?;
    if !arguments.follow {
        return Ok(exit::OK);
    }
    out.flush().map_err(unprintable)?;
    let interrupts = Interrupts::catch().map_err(unprintable)?;
    let mut tail = Tail { log, followed };
    loop {
        match interrupts.wait(None, LOOK) {
            Woken::Interrupted => break,
            Woken::Input | Woken::Late => {}
        }
        tail.print_new(&mut out).map_err(unprintable)?;
        out.flush().map_err(unprintable)?;
    }
    Ok(match interrupts.seen() {
        None | Some(CTRL_C) => exit::OK,
        Some(code) => code,
    })
}

fn unprintable(error: io::Error) -> Failure {
    Failure::new(format!("cannot print the log: {error}"))
}

/// The log and its rotated files, the oldest first.
fn files(log: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = (1..=MAX_ROTATED)
        .map(|number| rotated(log, number))
        .filter(|path| path.is_file())
        .collect();
    files.reverse();
    files.extend(log.is_file().then(|| log.to_owned()));
    files
}

fn rotated(log: &Path, number: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// A file of the log that was read so far.
struct Followed {
    lines: Lines,
    inode: u64,
}

impl Followed {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self {
            lines: Lines::of(file),
            inode,
        })
    }
}

/// Prints the files, or their last lines. What is returned is the log itself, read to its present end.
fn print(
    log: &Path,
    files: &[PathBuf],
    last: Option<usize>,
    out: &mut impl Write,
) -> io::Result<Option<Followed>> {
    let mut kept = VecDeque::new();
    let mut followed = None;
    for path in files {
        // One that was rotated away in between is seen under its next name, or was the oldest.
        let Ok(mut file) = Followed::open(path) else {
            continue;
        };
        while let Some(line) = file.lines.next(true)? {
            match last {
                None => out.write_all(&line)?,
                Some(count) => {
                    kept.push_back(line);
                    if kept.len() > count {
                        kept.pop_front();
                    }
                }
            }
        }
        followed = (path == log).then_some(file);
    }
    for line in kept {
        out.write_all(&line)?;
    }
    Ok(followed)
}

/// The end of the log, wherever rotation takes it.
struct Tail {
    log: PathBuf,
    followed: Option<Followed>,
}

impl Tail {
    fn print_new(&mut self, out: &mut impl Write) -> io::Result<()> {
        let now = fs::metadata(&self.log).ok();
        if let Some(followed) = &mut self.followed {
            let same = now.as_ref().is_some_and(|m| m.ino() == followed.inode);
            if same && now.is_some_and(|m| m.len() < followed.lines.read) {
                // Emptied in place: what is in it now is new.
                *followed = Followed::open(&self.log)?;
            }
            followed.lines.copy(out, !same)?;
            if same {
                return Ok(());
            }
        }
        self.catch_up(out)
    }

    /// The log is another file now: prints what came between the one that was followed and this one.
    fn catch_up(&mut self, out: &mut impl Write) -> io::Result<()> {
        let before = self.followed.take().map(|followed| followed.inode);
        let numbers: Vec<u32> = (1..=MAX_ROTATED)
            .take_while(|number| {
                let inode = fs::metadata(rotated(&self.log, *number)).map(|m| m.ino());
                before.is_some() && inode.is_ok_and(|inode| Some(inode) != before)
            })
            .collect();
        let is_known = before.is_some_and(|inode| {
            let next = rotated(&self.log, numbers.last().map_or(1, |last| last + 1));
            fs::metadata(next).is_ok_and(|m| m.ino() == inode)
        });
        // Where the followed file is gone altogether, nobody can tell which of the others were seen before.
        let missed = if is_known { &numbers[..] } else { &[] };
        for number in missed.iter().rev() {
            if let Ok(mut file) = Followed::open(&rotated(&self.log, *number)) {
                file.lines.copy(out, true)?;
            }
        }
        if let Ok(mut file) = Followed::open(&self.log) {
            file.lines.copy(out, false)?;
            self.followed = Some(file);
        }
        Ok(())
    }
}

/// The lines of a file that may grow, ready to be shown.
struct Lines {
    reader: BufReader<File>,
    /// Bytes read so far.
    read: u64,
    /// The beginning of a line whose end is not written yet.
    open: Vec<u8>,
    /// Whether that line is too long already.
    cut: bool,
}

impl Lines {
    fn of(file: File) -> Self {
        Self {
            reader: BufReader::new(file),
            read: 0,
            open: Vec::new(),
            cut: false,
        }
    }

    /// The next whole line; with `rest` also one that has no end, at the end of the file.
    fn next(&mut self, rest: bool) -> io::Result<Option<Vec<u8>>> {
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok((rest && !self.open.is_empty()).then(|| self.finish()));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let line = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_LINE - self.open.len();
            self.cut |= line.len() > room;
            self.open.extend_from_slice(&line[..line.len().min(room)]);
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(used);
            self.read += used as u64;
            if end.is_some() {
                return Ok(Some(self.finish()));
            }
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.open);
        let cut = std::mem::take(&mut self.cut);
        let mut shown = visible(&masked(&String::from_utf8_lossy(&line)));
        shown.push_str(if cut { " …\n" } else { "\n" });
        shown.into_bytes()
    }

    fn copy(&mut self, out: &mut impl Write, rest: bool) -> io::Result<()> {
        while let Some(line) = self.next(rest)? {
            out.write_all(&line)?;
        }
        Ok(())
    }
}

/// What a token of Claude Code begins with, and what stands before one in a request.
const MARKS: &[&str] = &["sk-ant-", "Bearer "];

/// The line without anything that looks like a token.
fn masked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((start, mark)) = first_mark(rest) {
        let (before, after) = rest.split_at(start + mark.len());
        out.push_str(before);
        let secret = after.len() - after.trim_start_matches(is_of_token).len();
        if secret > 0 {
            out.push('…');
        }
        rest = &after[secret..];
    }
    out.push_str(rest);
    out
}

fn first_mark(text: &str) -> Option<(usize, &'static str)> {
    let found = MARKS
        .iter()
        .filter_map(|mark| Some((text.find(mark)?, *mark)));
    found.min_by_key(|(start, _)| *start)
}

fn is_of_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_.~+/=".contains(letter)
}

/// The line with its control characters shown, so that no log moves the cursor of a terminal.
fn visible(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for letter in line.chars() {
        if letter.is_control() && letter != '\t' {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "plain files of a temporary directory"
    )]
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn what_looks_like_a_token_is_masked() {
        let rows = [
            ("plain", "plain"),
            ("a sk-ant-oat01-AbC_9-x end", "a sk-ant-… end"),
            ("{\"t\":\"sk-ant-ort01-x\"}", "{\"t\":\"sk-ant-…\"}"),
            (
                "Authorization: Bearer eyJ.x/y=; z",
                "Authorization: Bearer …; z",
            ),
            ("Bearer sk-ant-api03-x y", "Bearer … y"),
            ("sk-ant- alone", "sk-ant- alone"),
            ("sk-ant-a,sk-ant-b", "sk-ant-…,sk-ant-…"),
        ];
        for (line, shown) in rows {
            assert_eq!(masked(line), shown);
        }
        assert_eq!(visible("a\tb\u{1b}[2Jc\r"), "a\tb\\u{1b}[2Jc\\r");
    }

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            Self { dir }
        }

        fn log(&self) -> PathBuf {
            self.dir.path().join("daemon.log")
        }

        fn put(&self, path: &Path, text: &str) {
            fs::write(path, text).expect("writes");
        }

        fn append(&self, text: &str) {
            let mut options = OpenOptions::new();
            let mut file = options
                .append(true)
                .create(true)
                .open(self.log())
                .expect("opens");
            file.write_all(text.as_bytes()).expect("writes");
        }

        /// As the writer does it: every file one number up, and a new one.
        fn rotate(&self) {
            for number in (1..9).rev() {
                let _ = fs::rename(
                    rotated(&self.log(), number),
                    rotated(&self.log(), number + 1),
                );
            }
            fs::rename(self.log(), rotated(&self.log(), 1)).expect("renames");
        }

        fn printed(&self, last: Option<usize>) -> String {
            let mut out = Vec::new();
            print(&self.log(), &files(&self.log()), last, &mut out).expect("prints");
            String::from_utf8(out).expect("text")
        }

        fn tail(&self) -> Tail {
            let followed = print(&self.log(), &files(&self.log()), Some(0), &mut Vec::new());
            Tail {
                log: self.log(),
                followed: followed.expect("prints"),
            }
        }
    }

    fn new_in(tail: &mut Tail) -> String {
        let mut out = Vec::new();
        tail.print_new(&mut out).expect("prints");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn files_are_printed_in_the_order_they_were_written() {
        let place = Place::new();
        for (number, text) in [(2, "one\n"), (1, "two\nthree"), (10, "zero\n")] {
            place.put(&rotated(&place.log(), number), text);
        }
        place.put(&place.log(), "four\n");
        assert_eq!(place.printed(None), "zero\none\ntwo\nthree\nfour\n");
        assert_eq!(place.printed(Some(2)), "three\nfour\n");
        assert_eq!(place.printed(Some(0)), "");
        assert_eq!(place.printed(Some(99)).lines().count(), 5);
    }

    #[test]
    fn following_goes_across_rotation_and_loses_nothing() {
        let place = Place::new();
        place.append("old\n");
        let mut tail = place.tail();
        assert_eq!(new_in(&mut tail), "");
        place.append("a\nhal");
        assert_eq!(new_in(&mut tail), "a\n", "a line is shown once it is whole");
        place.append("f\n");
        place.rotate();
        assert_eq!(new_in(&mut tail), "half\n", "also while there is no log");
        place.append("b\n");
        assert_eq!(new_in(&mut tail), "b\n");
        // Several rotations between two looks.
        place.append("c\n");
        place.rotate();
        place.append("d\n");
        place.rotate();
        place.append("e\n");
        assert_eq!(new_in(&mut tail), "c\nd\ne\n");
        assert_eq!(new_in(&mut tail), "");
        place.put(&place.log(), "");
        assert_eq!(new_in(&mut tail), "");
        place.append("y\n");
        assert_eq!(new_in(&mut tail), "y\n", "emptied in place");
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let place = Place::new();
        place.append(&"x".repeat(MAX_LINE * 3));
        place.append("\nnext\n");
        let printed = place.printed(None);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!((lines.len(), lines[1]), (2, "next"));
        assert!(lines[0].ends_with(" …") && lines[0].len() < MAX_LINE + 8);
    }
}
