//! What the service can be asked to do wrong, and where.

use std::time::Duration;

/// In place of an account's name: the fault concerns all of them, and requests without an account.
pub const EVERY_ACCOUNT: &str = "*";

/// A group of paths that faults and the request log speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `GET /api/oauth/usage`.
    Usage,
    /// `GET /api/oauth/profile`.
    Profile,
    /// `GET /api/oauth/claude_cli/roles`.
    Roles,
    /// `POST /v1/oauth/token`.
    Token,
    /// `POST /v1/oauth/token/revoke`.
    Revoke,
    /// `GET /cai/oauth/authorize` and `/oauth/authorize`: where a browser would be sent.
    Authorize,
    /// Start-up chatter that gets a harmless answer: bootstrap, feature flags, telemetry.
    Background,
    /// Anything else: 404.
    Unknown,
}

/// One way of going wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 that names the five-hour plan limit, with the unified headers.
    PlanLimit,
    /// The same for the weekly limit.
    WeeklyLimit,
    /// 429 without unified headers: a throttle that clients retry. Seconds for `Retry-After`, if any.
    Throttled(Option<u64>),
    /// 500.
    ServerError,
    /// 529.
    Overloaded,
    /// 401, as for a token revoked on the server.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 400, as for a scope that the login does not have.
    InvalidScope,
    /// Answers correctly, this much later.
    Delay(Duration),
    /// Answers correctly, but not before the fault is cleared.
    Hang,
    /// Sends half of the answer; the rest when the fault is cleared.
    StalledStream,
}

/// A fault that was set: for ever, or for the next so many requests.
#[derive(Clone, Debug)]
pub(super) struct SetFault {
    pub fault: Fault,
    pub remaining: Option<u32>,
}
