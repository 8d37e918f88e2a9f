//! Folding an entry of an account directory back into the base. What collides is first moved beside the base's entry
//! under a name of its own and judged there, so that a crash in the middle leaves one copy too many and never one too
//! few.

use super::in_use::OpenFiles;
use super::jsonl;
use super::listing::list;
use super::report::{Healed, How, Reason, SyncReport};
use super::transfer::{
    MOST_DEPTH, continues, keep_beside, move_beside, move_new, move_over, same_content, swap,
};
use crate::adapters::files::{self, claude_lock::ClaudeLock};
use crate::core::time::Timestamp;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An entry that changed this recently may be half of something.
const YOUNG_MS: i64 = 10_000;

/// The most files looked at to tell whether a directory is at rest.
const MOST_ENTRIES: usize = 1_000_000;

/// How long to wait for claude's lock on the base's history.
const HISTORY_PATIENCE: Duration = Duration::from_millis(200);

/// Folds entries of one account into one base.
pub(super) struct Healer<'r> {
    /// The base, as links spell it.
    pub base_dir: &'r Path,
    /// The account directory, as links spell it.
    pub account_dir: &'r Path,
    /// The instant that ages are counted from.
    pub now: Timestamp,
    /// Whether a session of the account runs.
    pub live_session: bool,
    /// Where the account directory and the base really are.
    real: [PathBuf; 2],
    open: OnceCell<OpenFiles>,
    report: &'r mut SyncReport,
}

/// The entry stays where it is; the report says why.
struct Stays;

impl<'r> Healer<'r> {
    pub fn new(
        base_dir: &'r Path,
        account_dir: &'r Path,
        now: Timestamp,
        live_session: bool,
        report: &'r mut SyncReport,
    ) -> Self {
        let real = |dir: &Path| fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        Self {
            base_dir,
            account_dir,
            now,
            live_session,
            real: [real(account_dir), real(base_dir)],
            open: OnceCell::new(),
            report,
        }
    }

    /// Folds the top-level entry `name` back. True when nothing is left of it in the account directory.
    pub fn fold(&mut self, name: &OsStr) -> bool {
        let (from, to) = (self.account_dir.join(name), self.base_dir.join(name));
        self.try_fold(name, &from, &to).is_ok()
    }

    fn try_fold(&mut self, name: &OsStr, from: &Path, to: &Path) -> Result<(), Stays> {
        let metadata = self.ok(from, fs::symlink_metadata(from))?;
        self.must_be_at_rest(name, from, metadata.file_type())?;
        let Some(real) = self.ok(to, resolve(to))? else {
            // The base has nothing of the name. A link of the base that leads nowhere is in the way, though.
            if fs::symlink_metadata(to).is_ok() {
                return self.stays(from, Reason::ForeignLink);
            }
            return self.move_whole(from, to);
        };
        let inside = self.real[0].join(name);
        if real.starts_with(&inside) || inside.starts_with(&real) {
            return self.stays(from, Reason::Itself);
        }
        self.fold_onto(name, from, to, &real, 0)
    }

    /// Nothing that somebody may be in the middle of writing is touched.
    fn must_be_at_rest(&mut self, name: &OsStr, from: &Path, kind: FileType) -> Result<(), Stays> {
        if self.live_session && (kind.is_dir() || is_jsonl(name)) {
            return self.stays(from, Reason::LiveSession);
        }
        let mut budget = MOST_ENTRIES;
        let youth = self.look_for_youth(from, &mut budget, 0);
        if let Some(reason) = self.ok(from, youth)? {
            return self.stays(from, reason);
        }
        if self.is_open(&self.real[0].join(name)) {
            return self.stays(from, Reason::Open);
        }
        Ok(())
    }

    fn look_for_youth(
        &self,
        path: &Path,
        budget: &mut usize,
        depth: usize,
    ) -> io::Result<Option<Reason>> {
        let Some(left) = budget.checked_sub(1).filter(|_| depth <= MOST_DEPTH) else {
            return Ok(Some(Reason::TooMuch));
        };
        *budget = left;
        let metadata = fs::symlink_metadata(path)?;
        if self.is_young(&metadata) {
            return Ok(Some(Reason::Young));
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                let inner = self.look_for_youth(&entry?.path(), budget, depth + 1)?;
                if inner.is_some() {
                    return Ok(inner);
                }
            }
        }
        Ok(None)
    }

    /// By the time of the last change of content, name or mode, which nobody can set back.
    fn is_young(&self, metadata: &Metadata) -> bool {
        let changed = metadata.ctime().saturating_mul(1000) + metadata.ctime_nsec() / 1_000_000;
        (self.now.unix_ms() - changed).abs() < YOUNG_MS
    }

    fn is_open(&self, real: &Path) -> bool {
        self.open
            .get_or_init(|| OpenFiles::below(&self.real))
            .holds(real)
    }

    fn fold_onto(
        &mut self,
        name: &OsStr,
        from: &Path,
        to: &Path,
        real: &Path,
        depth: usize,
    ) -> Result<(), Stays> {
        let ours = self.ok(from, fs::symlink_metadata(from))?;
        let theirs = self.ok(real, fs::symlink_metadata(real))?;
        if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
            self.stays(from, Reason::Itself)
        } else if ours.is_dir() && theirs.is_dir() {
            self.fold_directory(from, real, depth)
        } else if ours.is_file() && theirs.is_file() {
            self.fold_file(name, from, to, real)
        } else if ours.is_symlink() && theirs.is_symlink() {
            self.fold_link(name, from, real)
        } else {
            self.stays(from, Reason::Kinds)
        }
    }

    fn fold_directory(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), Stays> {
        if depth > MOST_DEPTH {
            return self.stays(from, Reason::TooMuch);
        }
        let mut whole = Ok(());
        for (name, _) in self.ok(from, list(from))? {
            let (inner, target) = (from.join(&name), to.join(&name));
            // One that stays does not keep the others.
            let folded = match fs::symlink_metadata(&target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.move_whole(&inner, &target)
                }
                Err(error) => self.failed(&target, error),
                Ok(_) => self.fold_onto(&name, &inner, &target, &target, depth + 1),
            };
            whole = whole.and(folded);
        }
        whole?;
        match fs::remove_dir(from) {
            Ok(()) => self.healed(from, to, How::Emptied),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return self.stays(from, Reason::Raced);
            }
            Err(error) => return self.failed(from, error),
        }
        Ok(())
    }

    fn move_whole(&mut self, from: &Path, to: &Path) -> Result<(), Stays> {
        match move_new(from, to) {
            Ok(()) => self.healed(from, to, How::Moved),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.stays(from, Reason::Raced);
            }
            Err(error) => return self.failed(from, error),
        }
        Ok(())
    }

    fn fold_link(&mut self, name: &OsStr, from: &Path, to: &Path) -> Result<(), Stays> {
        let same = fs::read_link(from).and_then(|ours| Ok(ours == fs::read_link(to)?));
        if self.ok(from, same)? {
            let removed = fs::remove_file(from);
            self.ok(from, removed)?;
            self.healed(from, to, How::Same);
        } else {
            let dir = to.parent().unwrap_or(to);
            let kept = self.ok(from, move_beside(from, dir, name))?;
            self.healed(from, to, How::Kept(kept));
        }
        Ok(())
    }

    /// `to` is the base's entry and `real` the file it leads to. Copies are kept beside `to`, where the person looks.
    fn fold_file(
        &mut self,
        name: &OsStr,
        from: &Path,
        to: &Path,
        real: &Path,
    ) -> Result<(), Stays> {
        let really = fs::canonicalize(real).unwrap_or_else(|_| real.to_owned());
        if self.is_open(&really) {
            return self.stays(from, Reason::Open);
        }
        let lock = if is_history(name) {
            match self.ok(real, ClaudeLock::acquire(real, HISTORY_PATIENCE))? {
                None => return self.stays(from, Reason::Open),
                lock => lock,
            }
        } else {
            None
        };
        let dir = to.parent().unwrap_or(to);
        let beside = self.ok(from, move_beside(from, dir, name))?;
        let how = judge(name, &beside, real);
        drop(lock);
        // From here on nothing is left in the account directory, whatever becomes of the two.
        match how {
            Ok(how) => self.healed(from, to, how),
            Err(error) => {
                self.report.fail(to, error);
                self.healed(from, to, How::Kept(beside));
            }
        }
        Ok(())
    }

    fn healed(&mut self, from: &Path, to: &Path, how: How) {
        self.report.healed.push(Healed {
            from: from.to_owned(),
            to: to.to_owned(),
            how,
        });
    }

    fn stays(&mut self, path: &Path, reason: Reason) -> Result<(), Stays> {
        self.report.leave(path, reason);
        Err(Stays)
    }

    fn failed(&mut self, path: &Path, error: io::Error) -> Result<(), Stays> {
        self.report.fail(path, error);
        Err(Stays)
    }

    fn ok<T>(&mut self, path: &Path, result: io::Result<T>) -> Result<T, Stays> {
        result.map_err(|error| {
            self.report.fail(path, error);
            Stays
        })
    }
}

/// Where an entry of the base really is; none when it is not there, or is a link that leads nowhere.
fn resolve(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(Some(real)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_jsonl(name: &OsStr) -> bool {
    name.as_bytes().to_ascii_lowercase().ends_with(b".jsonl")
}

fn is_history(name: &OsStr) -> bool {
    name.as_bytes().eq_ignore_ascii_case(b"history.jsonl")
}

/// Decides between the newcomer `beside` and the file `real`, both in the base now.
fn judge(name: &OsStr, beside: &Path, real: &Path) -> io::Result<How> {
    let (new, old) = (fs::metadata(beside)?, fs::metadata(real)?);
    if same_content(beside, real)? {
        fs::remove_file(beside)?;
        return Ok(How::Same);
    }
    if is_history(name) && new.len().max(old.len()) <= jsonl::MOST_BYTES {
        let joined = jsonl::join(&fs::read(real)?, &fs::read(beside)?);
        files::replace(real, &joined, old.mode() & 0o7777)?;
        fs::remove_file(beside)?;
        return Ok(How::Lines);
    }
    if is_jsonl(name) {
        if new.len() > old.len() && continues(beside, real)? {
            let how = win(name, beside, real)?;
            let How::Won(old) = &how else {
                return Ok(how);
            };
            // Unless it grew another way at the last moment, all of the old is in the new.
            if !continues(real, old)? {
                return Ok(how);
            }
            fs::remove_file(old)?;
            return Ok(How::Continued);
        }
        if new.len() < old.len() && continues(real, beside)? {
            fs::remove_file(beside)?;
            return Ok(How::Continued);
        }
    }
    let lengths = if is_jsonl(name) {
        new.len().cmp(&old.len())
    } else {
        std::cmp::Ordering::Equal
    };
    let times = files::modified_ns(&new).cmp(&files::modified_ns(&old));
    if lengths.then(times).is_gt() {
        win(name, beside, real)
    } else {
        Ok(How::Kept(beside.to_owned()))
    }
}

/// The newcomer takes the place of `real`, whose content takes the newcomer's name.
fn win(name: &OsStr, beside: &Path, real: &Path) -> io::Result<How> {
    if swap(beside, real)? {
        return Ok(How::Won(beside.to_owned()));
    }
    let dir = beside.parent().unwrap_or(beside);
    let kept = keep_beside(real, dir, name)?;
    move_over(beside, real)?;
    // The newcomer's number is free again: the lowest one is the least surprise.
    Ok(How::Won(match move_new(&kept, beside) {
        Ok(()) => beside.to_owned(),
        Err(_) => kept,
    }))
}
