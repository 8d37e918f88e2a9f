//! The files by which a daemon starts a host and finds it again: what to start, and who it is.

use super::super::super::path_text;
use super::Size;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;

/// What a host starts: `launch.json` (0600) in the slot's directory, written by the daemon and removed by the host
/// once it has read it. It may hold secrets, as environments do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Program and arguments; the program with its whole path.
    #[serde(with = "words")]
    pub argv: Vec<OsString>,
    /// The whole environment, but for what the host adds: `CCP_HOOK_SOCKET` and `CCP_HOOK_TOKEN`.
    #[serde(with = "pairs")]
    pub env: Vec<(OsString, OsString)>,
    /// Where it starts.
    #[serde(with = "path_text")]
    pub cwd: PathBuf,
    /// Where this claude keeps its login: nobody ends it by force while it renews that. None is plain claude's.
    #[serde(default, with = "path_text::option")]
    pub config_dir: Option<PathBuf>,
    /// The terminal's first size.
    pub size: Size,
    /// Random; a hook proves by it that it belongs to this claude, and what claude started is found by it.
    pub token: String,
    /// Where the host listens; of a length the system takes, in a directory of the user alone.
    #[serde(with = "path_text")]
    pub socket: PathBuf,
    /// The session for which it is started, if it is for one.
    #[serde(default)]
    pub session: Option<String>,
    /// The mask of file modes that claude begins with; none for the one the host was started with.
    #[serde(default)]
    pub umask: Option<u32>,
}

/// A process that cannot be confused with a later one of the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its start time, in the platform's own unit.
    pub start: u64,
}

/// How claude ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code, if it ended by itself.
    #[serde(default)]
    pub code: Option<i32>,
    /// The signal, if one ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Whether the host was asked to end it.
    #[serde(default)]
    pub was_asked: bool,
    /// The last lines on its screen, where nobody asked it to end: why it did, in its own words.
    #[serde(default)]
    pub words: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (_, Some(signal)) => write!(f, "ended by signal {signal}"),
            (Some(code), None) => write!(f, "exit status {code}"),
            (None, None) => f.write_str("ended"),
        }?;
        match self.words.trim() {
            "" => Ok(()),
            words => write!(f, ": {words}"),
        }
    }
}

/// `host.json` (0600) in the slot's directory: by it a daemon finds a host that it did not start. Durable before claude
/// is started; removed by nobody but the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The version of the protocol it speaks.
    pub version: u32,
    /// The version of the program.
    pub program: String,
    /// The host.
    pub host: Process,
    /// This machine since its last boot; a record of another one is stale.
    pub machine: u64,
    /// Where it listens.
    #[serde(with = "path_text")]
    pub socket: PathBuf,
    /// The value of `CCP_HOOK_TOKEN` in the environment of claude and all it started.
    pub token: String,
    /// Claude; none until it was started.
    #[serde(default)]
    pub agent: Option<Process>,
    /// The session in the slot, as the daemon said last.
    #[serde(default)]
    pub session: Option<String>,
    /// How claude ended; none while it runs.
    #[serde(default)]
    pub ended: Option<Ended>,
}

/// A file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    what: &'static str,
    why: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not a {} of a host: {}", self.what, self.why)
    }
}

impl std::error::Error for Unread {}

impl Launch {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When it is no launch, or one of nothing.
    pub fn parse(text: &[u8]) -> Result<Self, Unread> {
        let launch: Self = parse("launch", text)?;
        let why = if launch.argv.is_empty() {
            "it names no program"
        } else if launch.size.cols == 0 || launch.size.rows == 0 {
            "a terminal has at least one column and one row"
        } else if launch.token.is_empty() {
            "its token is empty"
        } else {
            return Ok(launch);
        };
        Err(Unread {
            what: "launch",
            why: why.to_owned(),
        })
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists have a JSON form")
    }
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = f.debug_struct("Launch").field("argv", &self.argv).finish();
        shown.and_then(|()| f.write_str(" (environment and token hidden)"))
    }
}

impl HostRecord {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When it is no record.
    pub fn parse(text: &[u8]) -> Result<Self, Unread> {
        parse("record", text)
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists have a JSON form")
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, text: &[u8]) -> Result<T, Unread> {
    serde_json::from_slice(text).map_err(|error| Unread {
        what,
        why: error.to_string(),
    })
}

/// Words that are bytes, spelled as paths are.
pub(super) mod words {
    use super::super::super::super::path_text;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::ffi::OsString;
    use std::path::Path;

    pub(in super::super) fn serialize<S: Serializer>(
        words: &[OsString],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(words.iter().map(|word| path_text::encode(Path::new(word))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<OsString>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let words = texts.iter().map(|text| path_text::decode(text));
        words
            .map(|word| word.map(OsString::from))
            .collect::<Option<_>>()
            .ok_or_else(|| serde::de::Error::custom("neither text nor hexadecimal"))
    }
}

/// Paths, likewise.
pub(super) mod paths {
    use super::words;
    use serde::{Deserializer, Serializer};
    use std::path::PathBuf;

    pub(in super::super) fn serialize<S: Serializer>(
        paths: &[PathBuf],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let all: Vec<_> = paths.iter().map(|p| p.as_os_str().to_owned()).collect();
        words::serialize(&all, serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let all = words::deserialize(deserializer)?;
        Ok(all.into_iter().map(PathBuf::from).collect())
    }
}

/// Names and values, likewise: a list of lists of two.
mod pairs {
    use super::super::super::super::path_text;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::ffi::OsString;
    use std::path::Path;

    pub(super) fn serialize<S: Serializer>(
        pairs: &[(OsString, OsString)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |word: &OsString| path_text::encode(Path::new(word));
        serializer.collect_seq(pairs.iter().map(|(name, value)| (text(name), text(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(OsString, OsString)>, D::Error> {
        let texts = Vec::<(String, String)>::deserialize(deserializer)?;
        let word = |text: &String| path_text::decode(text).map(OsString::from);
        let pairs = texts.iter().map(|(n, v)| Some((word(n)?, word(v)?)));
        pairs
            .collect::<Option<_>>()
            .ok_or_else(|| serde::de::Error::custom("neither text nor hexadecimal"))
    }
}
