//! What can be asked of a pool.

use super::error::PoolError;
use super::words::{Detail, Source, Status, Verbosity};
use super::{DEFAULT_LOG_LINES, DEFAULT_TIMEOUT_MS};
use serde::Serialize;
use serde_json::{Map, Value};

mod parse;

/// A request with the `id` that comes back with its answer; none when it has none, or null.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// Any JSON value but null.
    pub id: Option<Value>,
    /// What is asked for.
    pub request: Request,
}

/// A line that is no request, with what its sender gets to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The `id` of the line, where it has one that can be read.
    pub id: Option<Value>,
    /// What is wrong with it.
    pub error: PoolError,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Request {
    /// Whether it is there. Works before `init`.
    Ping,
    /// How it does.
    Health,
    /// Begin: spawn the slots, bring back sessions.
    Init(Init),
    /// Show or change the configuration. Works before `init`.
    Config {
        /// What to change; null deletes a key.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(test, schemars(with = "Option<Map<String, Value>>"))]
        set: Option<Map<String, Value>>,
    },
    /// Have more or fewer slots.
    Resize {
        /// How many, from 1 on.
        size: u32,
    },
    /// End.
    Destroy {
        /// Has to be true.
        #[serde(skip_serializing_if = "is_false", default)]
        confirm: bool,
    },
    /// A new session.
    Start(Start),
    /// Another prompt for a session.
    Followup {
        /// Id or unique prefix.
        session_id: String,
        /// The prompt.
        prompt: String,
    },
    /// Wait for the end of a turn.
    Wait(Wait),
    /// What a session said.
    Capture {
        /// Id or unique prefix.
        session_id: String,
        /// What is read.
        #[serde(flatten)]
        excerpt: Excerpt,
    },
    /// Interrupt a turn, or take a request back.
    Stop {
        /// Id or unique prefix.
        session_id: String,
    },
    /// Hide a session.
    Archive(Archive),
    /// Bring an archived session back.
    Unarchive {
        /// Id or unique prefix.
        session_id: String,
    },
    /// Change a session.
    Set(Set),
    /// The sessions.
    Ls(Ls),
    /// One session. Works before `init`.
    Info(Info),
    /// A socket with a session's terminal behind it.
    Attach {
        /// Id or unique prefix.
        session_id: String,
    },
    /// The size of a session's terminal.
    PtyResize {
        /// Id or unique prefix.
        session_id: String,
        /// Width in columns, from 1 on.
        cols: u16,
        /// Height in lines, from 1 on.
        rows: u16,
    },
    /// Raw bytes for a session's terminal.
    Input {
        /// Id or unique prefix.
        session_id: String,
        /// The bytes, as text.
        data: String,
    },
    /// Events on this connection from now on. A second one takes the place of the first.
    Subscribe(Subscribe),
    /// The slots. Works before `init`.
    DebugSlots,
    /// The terminal of a slot. Works before `init`.
    DebugCapture {
        /// Its number.
        slot: u32,
        /// With escape sequences.
        #[serde(skip_serializing_if = "is_false", default)]
        raw: bool,
    },
    /// The last lines of the daemon's log. Works before `init`.
    DebugLogs {
        /// How many.
        #[serde(skip_serializing_if = "is_default_lines", default = "default_lines")]
        lines: u32,
        /// Go on with what is added.
        #[serde(skip_serializing_if = "is_false", default)]
        follow: bool,
    },
}

/// `init`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// How many slots, from 1 on; by default what the configuration says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u32>,
    /// Leave the sessions that were live at the last stop offloaded.
    #[serde(skip_serializing_if = "is_false", default)]
    pub no_restore: bool,
}

/// `start`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The first prompt; without one the session waits for it in its slot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<String>,
    /// The id of the session or conversation that starts it. Also spelled `parentId`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<String>,
    /// `name`, `description`, and tags beside them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(test, schemars(with = "Option<Map<String, Value>>"))]
    pub metadata: Option<Map<String, Value>>,
    /// The directory it begins in; has to exist. An addition of ccp.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    /// The account it runs on: number, `acct-NN`, label or email. An addition of ccp.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<String>,
}

/// Which part of a session's content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Excerpt {
    /// Where it is read.
    #[serde(skip_serializing_if = "is_usual", default)]
    pub source: Source,
    /// How many turns, counted from the end; 0 is all of them.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub turns: u32,
    /// How much of each.
    #[serde(skip_serializing_if = "is_usual", default)]
    pub detail: Detail,
}

impl Default for Excerpt {
    fn default() -> Self {
        Self {
            source: Source::default(),
            turns: 1,
            detail: Detail::default(),
        }
    }
}

/// `wait`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// Id or unique prefix; without one the first to finish of the parent's busy sessions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session_id: Option<String>,
    /// Whose sessions; none means those without a parent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<String>,
    /// How long, in milliseconds.
    #[serde(
        rename = "timeout",
        skip_serializing_if = "is_default_timeout",
        default = "default_timeout"
    )]
    pub timeout_ms: u64,
    /// What is answered.
    #[serde(flatten)]
    pub excerpt: Excerpt,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            session_id: None,
            parent: None,
            timeout_ms: DEFAULT_TIMEOUT_MS,
            excerpt: Excerpt::default(),
        }
    }
}

/// `archive`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Id or unique prefix.
    pub session_id: String,
    /// Its children too.
    #[serde(skip_serializing_if = "is_false", default)]
    pub recursive: bool,
}

/// `set`. At least one of the three has to be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Set {
    /// Id or unique prefix.
    pub session_id: String,
    /// Its new priority.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<i64>,
    /// For how many seconds it is held in a slot; false ends that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(test, schemars(with = "Option<SecondsOrFalse>"))]
    pub pinned: Option<Pin>,
    /// What to change of its metadata; null deletes a key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(test, schemars(with = "Option<Map<String, Value>>"))]
    pub metadata: Option<Map<String, Value>>,
}

/// How a session is held from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// For so many milliseconds.
    ForMs(u64),
    /// No more.
    Release,
}

impl Serialize for Pin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Release => serializer.serialize_bool(false),
            Self::ForMs(ms) if ms % 1000 == 0 => serializer.serialize_u64(ms / 1000),
            Self::ForMs(ms) => {
                let seconds = std::time::Duration::from_millis(*ms).as_secs_f64();
                serializer.serialize_f64(seconds)
            }
        }
    }
}

/// The type of `pinned` in the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema alone is wanted")]
enum SecondsOrFalse {
    /// For so many seconds.
    Seconds(f64),
    /// No more.
    False(bool),
}

/// `ls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ls {
    /// Only the sessions of this parent. Also spelled `callerId`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<String>,
    /// Whatever the parent.
    #[serde(skip_serializing_if = "is_false", default)]
    pub all: bool,
    /// Children below their parents: `nested`, when no verbosity is given.
    #[serde(skip_serializing_if = "is_false", default)]
    pub tree: bool,
    /// Archived ones too.
    #[serde(skip_serializing_if = "is_false", default)]
    pub archived: bool,
    /// Only those with one of these.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statuses: Option<Vec<Status>>,
    /// How much of each; flat when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verbosity: Option<Verbosity>,
}

impl Ls {
    /// How much of each session is shown.
    #[must_use]
    pub fn shown(&self) -> Verbosity {
        let usual = if self.tree {
            Verbosity::Nested
        } else {
            Verbosity::Flat
        };
        self.verbosity.unwrap_or(usual)
    }
}

/// `info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Id or unique prefix.
    pub session_id: String,
    /// How much of it.
    #[serde(skip_serializing_if = "is_full", default = "full")]
    pub verbosity: Verbosity,
}

/// `subscribe`. What is not given lets everything through; what is given has to hold all together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    /// Only of these sessions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sessions: Option<Vec<String>>,
    /// Only events of these names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events: Option<Vec<String>>,
    /// Only `status` events into one of these.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statuses: Option<Vec<Status>>,
    /// Only `updated` events in which one of these fields changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fields: Option<Vec<String>>,
    /// Answer `{"type":"subscribed"}` first. An addition of ccp.
    #[serde(skip_serializing_if = "is_false", default)]
    pub ack: bool,
}

impl Request {
    /// Reads a line, with or without its end.
    pub fn parse(line: &[u8]) -> Result<Incoming, Box<Refused>> {
        parse::parse(line)
    }

    /// The line, its end included.
    #[must_use]
    pub fn line(&self, id: Option<&Value>) -> String {
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(flatten)]
            request: &'a Request,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a Value>,
        }
        let written = Written {
            request: self,
            id: id.filter(|id| !id.is_null()),
        };
        let mut line = serde_json::to_string(&written).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Health => "health",
            Self::Init(_) => "init",
            Self::Config { .. } => "config",
            Self::Resize { .. } => "resize",
            Self::Destroy { .. } => "destroy",
            Self::Start(_) => "start",
            Self::Followup { .. } => "followup",
            Self::Wait(_) => "wait",
            Self::Capture { .. } => "capture",
            Self::Stop { .. } => "stop",
            Self::Archive(_) => "archive",
            Self::Unarchive { .. } => "unarchive",
            Self::Set(_) => "set",
            Self::Ls(_) => "ls",
            Self::Info(_) => "info",
            Self::Attach { .. } => "attach",
            Self::PtyResize { .. } => "pty-resize",
            Self::Input { .. } => "input",
            Self::Subscribe(_) => "subscribe",
            Self::DebugSlots => "debug-slots",
            Self::DebugCapture { .. } => "debug-capture",
            Self::DebugLogs { .. } => "debug-logs",
        }
    }

    /// Whether it is answered before `init`.
    #[must_use]
    pub const fn works_before_init(&self) -> bool {
        matches!(
            self,
            Self::Ping
                | Self::Init(_)
                | Self::Config { .. }
                | Self::Destroy { .. }
                | Self::Info(_)
                | Self::Subscribe(_)
                | Self::DebugSlots
                | Self::DebugCapture { .. }
                | Self::DebugLogs { .. }
        )
    }
}

// What serde asks for.

const fn one() -> u32 {
    1
}
const fn full() -> Verbosity {
    Verbosity::Full
}
const fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT_MS
}
const fn default_lines() -> u32 {
    DEFAULT_LOG_LINES
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}
const fn is_one(turns: &u32) -> bool {
    *turns == one()
}
const fn is_default_timeout(ms: &u64) -> bool {
    *ms == default_timeout()
}
const fn is_default_lines(lines: &u32) -> bool {
    *lines == default_lines()
}
fn is_full(verbosity: &Verbosity) -> bool {
    *verbosity == full()
}

fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
