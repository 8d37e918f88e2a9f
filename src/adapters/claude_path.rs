//! Where the claude executable is. Everything it looks at comes in as an argument, and what it finds is a path: it
//! starts nothing and knows no versions. Used on the way to exec, so each candidate costs one `stat`, and only one that
//! could be executed costs more.

use super::files::is_executable;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The name that is looked for.
const NAME: &str = "claude";

/// Scripts longer than this are no wrappers around ccp: a person's wrapper is a few lines, claude's own is megabytes.
const WRAPPER_MAX_BYTES: u64 = 4096;

/// What `execvp` searches when there is no `PATH` (`_CS_PATH` of glibc and macOS, without the administrator's part).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Where npm installs for the whole machine, and Homebrew on Apple silicon.
const SYSTEM_DIRS: &[&str] = &["/usr/local/bin", "/opt/homebrew/bin"];

/// Where to look, and what to pass over.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// `CCP_CLAUDE`. A name without a slash is looked up in `path`, as a shell would.
    pub forced: Option<&'a OsStr>,
    /// `PATH`.
    pub path: Option<&'a OsStr>,
    /// What relative paths are relative to. An empty element of `PATH` means this directory.
    pub cwd: &'a Path,
    /// The person's home directory.
    pub user_home: Option<&'a Path>,
    /// `npm_config_prefix` and `NPM_CONFIG_PREFIX`, as far as they are set.
    pub npm_prefixes: &'a [&'a OsStr],
    /// ccp's own executables. Whatever is one of them, by any name or link, is not claude.
    pub own: &'a [PathBuf],
    /// Candidates to pass over, for instance because they could not be executed a moment ago.
    pub skip: &'a [PathBuf],
}

/// Why there is no claude to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// `CCP_CLAUDE` names it, and it cannot be it.
    Forced {
        /// What it names.
        path: PathBuf,
        /// What is wrong with that.
        reason: Refusal,
    },
    /// None of the places has one.
    Nowhere {
        /// Every candidate that was looked at, in order.
        tried: Vec<PathBuf>,
        /// Those that are there and were refused.
        refused: Vec<(PathBuf, Refusal)>,
    },
}

/// Why a candidate is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none, or a link leads nowhere or in circles.
    Missing,
    /// A directory, a socket, a device.
    NotAFile,
    /// This user may not execute it.
    NotExecutable,
    /// It is ccp, or a script that calls ccp: running it would never end.
    Ourselves,
    /// [`Search::skip`] lists it.
    Skipped,
}

impl Refusal {
    /// As the tail of a sentence that names the path.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "does not exist",
            Self::NotAFile => "is not a file",
            Self::NotExecutable => "is not executable",
            Self::Ourselves => "is ccp itself or a script that calls it",
            Self::Skipped => "could not be executed",
        }
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced { path, reason } => {
                write!(
                    f,
                    "CCP_CLAUDE names {}, which {}",
                    path.display(),
                    reason.reason()
                )
            }
            Self::Nowhere { tried, refused } => {
                write!(f, "claude not found in {} places", tried.len())?;
                for (path, reason) in refused {
                    write!(f, "; {} {}", path.display(), reason.reason())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for NotFound {}

/// Finds the claude executable: `CCP_CLAUDE`, `PATH`, `~/.local/bin`, `~/.claude/local`, the npm prefix. The path
/// returned is absolute when [`Search::cwd`] is.
pub fn find(search: &Search<'_>) -> Result<PathBuf, NotFound> {
    find_with(search, SYSTEM_DIRS)
}

fn find_with(
    search: &Search<'_>,
    system_dirs: &'static [&'static str],
) -> Result<PathBuf, NotFound> {
    let mut judge = Judge {
        search,
        own: None,
        skip: None,
    };
    if let Some(forced) = search.forced.filter(|f| !f.is_empty()) {
        return find_forced(forced, search, &mut judge);
    }
    let mut tried = Vec::new();
    let mut refused = Vec::new();
    for candidate in candidates(search, system_dirs) {
        if tried.contains(&candidate) {
            continue;
        }
        match judge.refusal(&candidate) {
            None => return Ok(candidate),
            Some(Refusal::Missing) => {}
            Some(reason) => refused.push((candidate.clone(), reason)),
        }
        tried.push(candidate);
    }
    Err(NotFound::Nowhere { tried, refused })
}

fn find_forced(
    forced: &OsStr,
    search: &Search<'_>,
    judge: &mut Judge<'_>,
) -> Result<PathBuf, NotFound> {
    let mut first_problem = None;
    let candidates: Vec<PathBuf> = if forced.as_bytes().contains(&b'/') {
        vec![search.cwd.join(forced)]
    } else {
        path_dirs(search).map(|dir| dir.join(forced)).collect()
    };
    for candidate in candidates {
        match judge.refusal(&candidate) {
            None => return Ok(candidate),
            Some(Refusal::Missing) => {}
            Some(reason) => {
                first_problem.get_or_insert((candidate, reason));
            }
        }
    }
    let (path, reason) = first_problem.unwrap_or((PathBuf::from(forced), Refusal::Missing));
    Err(NotFound::Forced { path, reason })
}

fn path_dirs<'a>(search: &Search<'a>) -> impl Iterator<Item = PathBuf> + use<'a> {
    let cwd = search.cwd;
    let path = search.path.unwrap_or(OsStr::new(DEFAULT_PATH));
    path.as_bytes()
        .split(|byte| *byte == b':')
        .map(move |element| {
            if element.is_empty() {
                cwd.to_owned()
            } else {
                cwd.join(OsStr::from_bytes(element))
            }
        })
}

fn candidates<'a>(
    search: &Search<'a>,
    system_dirs: &'static [&'static str],
) -> impl Iterator<Item = PathBuf> + use<'a> {
    let home = |below: &'static str| search.user_home.map(|home| home.join(below)).into_iter();
    let cwd = search.cwd;
    path_dirs(search)
        .chain(home(".local/bin"))
        .chain(home(".claude/local"))
        .chain(
            search
                .npm_prefixes
                .iter()
                .filter(|prefix| !prefix.is_empty())
                .map(move |prefix| cwd.join(prefix).join("bin")),
        )
        .chain(home(".npm-global/bin"))
        .chain(system_dirs.iter().map(PathBuf::from))
        .map(|dir| dir.join(NAME))
}

/// Device and inode.
type FileId = (u64, u64);

fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

fn file_ids(paths: &[PathBuf]) -> Vec<FileId> {
    let metadata = paths.iter().filter_map(|path| fs::metadata(path).ok());
    metadata.map(|m| file_id(&m)).collect()
}

/// Judges candidates; looks its own executables up once, and only when there is something to compare with.
struct Judge<'a> {
    search: &'a Search<'a>,
    own: Option<Vec<FileId>>,
    skip: Option<Vec<FileId>>,
}

impl Judge<'_> {
    fn refusal(&mut self, candidate: &Path) -> Option<Refusal> {
        let Ok(metadata) = fs::metadata(candidate) else {
            return Some(Refusal::Missing);
        };
        if !metadata.is_file() {
            return Some(Refusal::NotAFile);
        }
        let search = self.search;
        let id = file_id(&metadata);
        if self
            .own
            .get_or_insert_with(|| file_ids(search.own))
            .contains(&id)
        {
            return Some(Refusal::Ourselves);
        }
        if !is_executable(candidate) {
            return Some(Refusal::NotExecutable);
        }
        if self
            .skip
            .get_or_insert_with(|| file_ids(search.skip))
            .contains(&id)
        {
            return Some(Refusal::Skipped);
        }
        if metadata.len() <= WRAPPER_MAX_BYTES && is_wrapper(candidate) {
            return Some(Refusal::Ourselves);
        }
        None
    }
}

fn is_wrapper(path: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| {
        file.take(WRAPPER_MAX_BYTES)
            .read_to_end(&mut text)
            .map(|_| ())
    });
    read.is_ok() && calls_ccp(&text)
}

/// Whether a script has a line that calls `ccp` or `ccpd`. A heuristic about shell scripts: it looks for the word where
/// a command stands, so that a path or an argument of that name does not count.
#[must_use]
fn calls_ccp(script: &[u8]) -> bool {
    let Some(rest) = script.strip_prefix(b"#!") else {
        return false;
    };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let interpreter = lines.next().unwrap_or_default();
    command_calls_ccp(interpreter)
        || lines
            .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
            .flat_map(|line| line.split(|byte| b";&|()`".contains(byte)))
            .any(command_calls_ccp)
}

/// Words that may stand before the command that is run.
const PREFIXES: &[&[u8]] = &[
    b"exec", b"command", b"builtin", b"env", b"eval", b"nohup", b"nice", b"time", b"sudo", b"if",
    b"then", b"else", b"elif", b"while", b"do", b"!", b"{",
];

fn command_calls_ccp(command: &[u8]) -> bool {
    let words = command
        .split(u8::is_ascii_whitespace)
        .map(|word| trim_quotes(word.strip_prefix(b"$").unwrap_or(word)))
        .filter(|word| !word.is_empty());
    let mut is_argument_of_option = false;
    for word in words {
        if std::mem::take(&mut is_argument_of_option) {
            continue;
        }
        let name = word.rsplit(|byte| *byte == b'/').next().unwrap_or(word);
        if name == b"ccp" || name == b"ccpd" {
            return true;
        }
        match word {
            // `command -v ccp` asks whether there is one.
            b"-v" | b"-V" => return false,
            // `exec -a NAME`, `env -u NAME`, `nice -n N`.
            b"-a" | b"-u" | b"-n" => is_argument_of_option = true,
            _ if word.starts_with(b"-") || is_assignment(word) => {}
            _ if PREFIXES.contains(&name) => {}
            _ => return false,
        }
    }
    false
}

fn trim_quotes(mut word: &[u8]) -> &[u8] {
    while let [b'"' | b'\'', rest @ ..] | [rest @ .., b'"' | b'\''] = word {
        word = rest;
    }
    word
}

fn is_assignment(word: &[u8]) -> bool {
    let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.len() < word.len()
        && !name.is_empty()
        && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

#[cfg(test)]
mod tests;
