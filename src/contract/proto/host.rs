//! What a pool's daemon, a slot's host and claude's hooks say to each other, over the host's socket. Private: both ends
//! are ccp, though perhaps of two versions.
//!
//! The daemon connects and says [`ToHost::Hello`]; the host answers with [`FromHost::Hello`], which holds all that a
//! daemon has to know of a slot it did not start. One daemon at a time: a newer one takes the place of the one before,
//! whose connection is closed. A hook connects, says [`ToHost::Hook`] and waits for the end of the connection.
//!
//! The host speaks [`VERSION`] alone; a daemon speaks every version from [`OLDEST`] on. Both ignore fields they do not
//! know, and answer messages they do not know with [`FromHost::Refused`] or not at all.

mod frame;
mod launch;
mod limits;
#[cfg(test)]
mod tests;

pub use frame::{Frames, Garbled, MAX_FRAME};
pub use launch::{Ended, HostRecord, Launch, Process, Unread};
pub use limits::LimitsSeen;

use super::super::path_text;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of this protocol that hosts of this program speak.
pub const VERSION: u32 = 1;
/// The oldest version that daemons of this program speak: their own and the one before.
pub const OLDEST: u32 = 1;

/// What to start, in a slot's directory: [`Launch`].
pub const LAUNCH_FILE: &str = "launch.json";
/// Who the host is, in a slot's directory: [`HostRecord`].
pub const RECORD_FILE: &str = "host.json";
/// Why a host did not start, in a slot's directory: a line of text, there only after a failure.
pub const ERROR_FILE: &str = "host.error";

/// Reports of hooks that a host keeps until a daemon has acknowledged them.
pub const KEPT_REPORTS: usize = 256;
/// The longest report of a hook, in bytes: claude's own limit on a prompt is far below.
pub const MAX_REPORT: usize = 4 * 1024 * 1024;
/// How long what people type waits for a script that wants the terminal for itself, in milliseconds.
pub const HOLD_MS: u64 = 2_000;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Columns, at least 1.
    pub cols: u16,
    /// Rows, at least 1.
    pub rows: u16,
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// These bytes, written as one piece; the step is done once the terminal took all of them.
    Write(#[serde(with = "frame::length")] Vec<u8>),
    /// Nothing for this many milliseconds.
    Pause(u64),
}

/// What is typed into claude by the daemon: steps in order, done exactly once for a number.
///
/// A number that is not above the last one begun is not done again: it is answered when it is done, at once when it is
/// already. So a daemon that does not know whether its predecessor's script arrived sends it again. Numbers only rise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The delivery's number; the first is 1.
    pub number: u64,
    /// What to do.
    pub steps: Vec<Step>,
    /// Keep what people type back until the script is done, [`HOLD_MS`] at most.
    #[serde(default)]
    pub hold_input: bool,
}

/// What is wanted of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// The scrollback and the screen as text, one line each, without trailing blanks.
    Text,
    /// The lowest rows of the screen as text, this many.
    Bottom(u16),
    /// The last bytes that claude wrote, as they came; some tens of kilobytes.
    Tail,
}

/// What a daemon, or a hook, says to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ToHost {
    /// First message of a daemon.
    Hello {
        /// The newest version it speaks.
        version: u32,
    },
    /// First and only message of a hook.
    Hook {
        /// What was put into claude's environment by [`Launch::token`].
        token: String,
        /// It says how something is, not what happened: the very same is not kept a second time in a row.
        #[serde(default)]
        is_state: bool,
        /// What claude gave the hook: JSON.
        #[serde(skip)]
        json: Vec<u8>,
    },
    /// Type; answered by [`FromHost::Typed`].
    Type(Script),
    /// The terminal's size.
    Resize(Size),
    /// Look at the screen; answered by [`FromHost::ScreenIs`].
    Screen {
        /// Comes back with the answer.
        ticket: u64,
        /// What to look at.
        what: Look,
    },
    /// Listen at this path for people who attach; once more for the same path does nothing.
    OpenAttach {
        /// Where; of a length the system takes. Answered by [`FromHost::AttachOpen`], or by [`FromHost::Refused`].
        #[serde(with = "path_text")]
        path: PathBuf,
    },
    /// Stop listening there, remove the socket and end the attachments made through it.
    CloseAttach {
        /// The path it was opened with.
        #[serde(with = "path_text")]
        path: PathBuf,
    },
    /// Bytes for the terminal, as if somebody attached had typed them.
    Input {
        /// The bytes.
        #[serde(skip)]
        bytes: Vec<u8>,
    },
    /// Reports up to this sequence number are taken care of.
    AckReports {
        /// The last one.
        up_to: u64,
    },
    /// The session that is in the slot, for the host's record.
    SetSession {
        /// The pool's own id of it; none for no session.
        id: Option<String>,
    },
    /// End claude and all it started: a request, the grace, then force, but no force while a login is renewed. The host
    /// says [`FromHost::Exited`] and ends.
    End {
        /// From the request to force, in milliseconds.
        grace_ms: u64,
    },
}

/// What a host says to its daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum FromHost {
    /// First message; the unacknowledged reports follow it.
    Hello(Box<State>),
    /// A script is done.
    Typed {
        /// Its number.
        number: u64,
        /// Whether the terminal took all of it; false when claude read nothing for ten seconds or ended.
        whole: bool,
    },
    /// What a hook reported. Kept until it is acknowledged.
    Report {
        /// Rises by one with each.
        seq: u64,
        /// When the host got it, in milliseconds since the Unix epoch.
        received_at_ms: i64,
        /// What claude gave the hook: JSON, not looked at.
        #[serde(skip)]
        json: Vec<u8>,
    },
    /// The text in claude's input box changed. Changes within 100 ms are one.
    Pending {
        /// The text; empty when there is none.
        text: String,
    },
    /// A dialog that stands in the way appeared on the screen or left it.
    Dialog {
        /// Its name (`trust`, `bypass`, `onboarding`, `login`, `hooks`, `resume`, `rewind`); none when it is gone.
        name: Option<String>,
        /// The screen, when there is one.
        text: String,
    },
    /// The answer to [`ToHost::Screen`].
    ScreenIs {
        /// The ticket.
        ticket: u64,
        /// Text in UTF-8, or raw bytes for [`Look::Tail`].
        #[serde(skip)]
        bytes: Vec<u8>,
    },
    /// It listens there.
    AttachOpen {
        /// Where.
        #[serde(with = "path_text")]
        path: PathBuf,
    },
    /// How many people are attached, whenever it changes.
    Attached {
        /// In all.
        clients: u32,
    },
    /// Somebody else than the daemon's scripts typed into the terminal. Said once.
    Handled,
    /// Something was not done: a report with a wrong token, a socket that could not be made, an unknown message.
    Refused {
        /// The `is` of the message.
        what: String,
        /// Why, as text for a log.
        why: String,
    },
    /// Claude has ended. The host ends its tree, removes its sockets and ends.
    Exited(Ended),
}

/// What a daemon learns first of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The version of the protocol it speaks.
    pub version: u32,
    /// The version of the program.
    pub program: String,
    /// The host.
    pub host: Process,
    /// Claude.
    pub agent: Process,
    /// The last script that is done; 0 for none.
    pub typed: u64,
    /// The script that is under way.
    pub typing: Option<u64>,
    /// The terminal's size.
    pub size: Size,
    /// What [`ToHost::SetSession`] said last.
    pub session: Option<String>,
    /// Claude's input box, as in [`FromHost::Pending`].
    pub pending: String,
    /// The dialog on the screen, as in [`FromHost::Dialog`].
    pub dialog: Option<String>,
    /// How many are attached.
    pub clients: u32,
    /// As in [`FromHost::Handled`].
    #[serde(default)]
    pub is_handled: bool,
    /// Where it listens for attachments.
    #[serde(with = "launch::paths")]
    pub attach: Vec<PathBuf>,
    /// The next report's sequence number.
    pub next_report: u64,
    /// Reports that were dropped because nobody acknowledged them in time.
    pub dropped_reports: u64,
    /// Whether claude is being ended.
    pub is_ending: bool,
}

impl Default for Size {
    /// 80 by 24.
    fn default() -> Self {
        Self { cols: 80, rows: 24 }
    }
}

impl ToHost {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body = match self {
            Self::Hook { json, .. } => json.clone(),
            Self::Input { bytes } => bytes.clone(),
            Self::Type(script) => script.bytes(),
            _ => Vec::new(),
        };
        frame::encode(self, &body)
    }

    /// The message of a frame.
    ///
    /// # Errors
    /// When it is no message of this protocol.
    pub fn decode(frame: &[u8]) -> Result<Self, Garbled> {
        let (mut message, body): (Self, _) = frame::decode(frame)?;
        match &mut message {
            Self::Hook { json, .. } => *json = body.to_vec(),
            Self::Input { bytes } => *bytes = body.to_vec(),
            Self::Type(script) => script.fill(body)?,
            _ => {}
        }
        Ok(message)
    }
}

impl FromHost {
    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Report { json, .. } => frame::encode(self, json),
            Self::ScreenIs { bytes, .. } => frame::encode(self, bytes),
            _ => frame::encode(self, &[]),
        }
    }

    /// The message of a frame.
    ///
    /// # Errors
    /// When it is no message of this protocol.
    pub fn decode(frame: &[u8]) -> Result<Self, Garbled> {
        let (mut message, body): (Self, _) = frame::decode(frame)?;
        match &mut message {
            Self::Report { json, .. } => *json = body.to_vec(),
            Self::ScreenIs { bytes, .. } => *bytes = body.to_vec(),
            _ => {}
        }
        Ok(message)
    }
}

impl Script {
    /// All it writes, in order: the body of its frame, of which each step's length takes its part.
    fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for step in &self.steps {
            if let Step::Write(bytes) = step {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    fn fill(&mut self, body: &[u8]) -> Result<(), Garbled> {
        let mut rest = body;
        for step in &mut self.steps {
            if let Step::Write(bytes) = step {
                let part = frame::length::read(bytes).and_then(|n| rest.split_at_checked(n));
                let (part, after) = part.ok_or(Garbled::Short)?;
                *bytes = part.to_vec();
                rest = after;
            }
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Garbled::Short)
        }
    }
}
