//! The daemon's protocol: one JSON object per line, both ways (`docs/daemon.md` has an example of every message).
//!
//! A request is `{"proto":1,"op":…}`, its answer `{"proto":1,"ok":true,"op":…}` or
//! `{"proto":1,"ok":false,"error":{"code":…,"message":…}}`; the answers of a connection are in the order of its
//! requests. Fields that are not known are ignored, so that fields can be added; a field of the wrong type is an error
//! that names it. Knows nothing of sockets.

mod fields;
pub mod host;
pub mod note;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{Refresh, Request, Select, Unread, Wanted};
pub use response::{Code, ErrorBody, Failed, Health, Phase, Refreshed, Response, Selected};

/// The protocol of this version. It changes when an old reader would misunderstand a new message. `health` and
/// `shutdown` are understood under every number: by them a newer daemon takes an older one's place.
pub const PROTO: u32 = 1;
/// The longest line, in bytes, its end included: a status of a thousand accounts fits.
pub const MAX_LINE: usize = 1024 * 1024;
