//! The public protocol of a session pool: one JSON object per line, both ways (`docs/protocol.md` has an example of
//! every message, `docs/protocol.schema.json` their types).
//!
//! It is an existing protocol, and existing clients work unchanged: names, fields, types and defaults are exact, and what
//! ccp adds is additive. A request is `{"type":…}`; unknown fields are ignored, and a field of the wrong type is an error
//! that names it. `id`, any JSON value, comes back with the answer unless it is null. Knows nothing of sockets.

mod config;
mod error;
mod event;
mod fields;
mod foreign;
mod framing;
mod health;
mod places;
mod reply;
mod request;
mod session;
mod subscription;
#[cfg(test)]
mod tests;
mod words;

pub use config::{Config, DEFAULT_KEEP_FRESH};
pub use error::{Code, PoolError};
pub use event::{Changes, Event, PoolChange};
pub use foreign::{Imported, import, is_session_id};
pub use framing::{Line, Lines, MAX_REQUEST};
pub use health::{AccountSlots, Health, SessionCounts, SlotCounts};
pub use places::{Place, Pools, Remote};
pub use reply::{Message, PoolSize, Reply, SlotInfo};
pub use request::{
    Archive, Excerpt, Incoming, Info, Init, Ls, Pin, Refused, Request, Set, Start, Subscribe, Wait,
};
pub use session::{AccountTag, Full, Session};
pub use words::{Detail, SlotState, Source, Status, Verbosity};

/// The protocol of this version, told by `pong`. It changes when an old client would misunderstand a message.
pub const PROTOCOL: u32 = 1;
/// How long `wait` waits when nothing is said, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 300_000;
/// How many lines `debug-logs` answers when nothing is said.
pub const DEFAULT_LOG_LINES: u32 = 50;
/// How long `pin` pins when nothing is said, in milliseconds.
pub const DEFAULT_PIN_MS: u64 = 120_000;
