//! What can be asked of the daemon.

use super::fields::{Fields, kind, required};
use super::response::{Code, ErrorBody};
use super::{MAX_LINE, PROTO};
use crate::contract::report::Report;
use serde_json::{Map, Value, json};

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Whether it runs, and who it is. Answered at once, whatever else goes on.
    Health,
    /// What `ccp status --json` prints.
    Status,
    /// A pick with a reservation of 30 s.
    Select(Select),
    /// A lease has ended before its time: its file name.
    Checkin {
        /// The lease.
        lease: String,
    },
    /// Sample accounts; answered when that is done.
    Refresh(Refresh),
    /// End: finish what is being written, answer, and go.
    Shutdown {
        /// The protocol of who wants to take over; it has to be newer. None: a person wants it to end.
        for_proto: Option<u32>,
    },
    /// A sample, or a limit, as a session or a pool saw it.
    Report(Box<Report>),
}

/// For whom a pick is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// The account that the person names: id, `acct-NN`, label or email.
    pub account: Option<String>,
    /// The model the session will use, where known.
    pub model: Option<String>,
    /// The exact directory of the session; absolute.
    pub cwd: Option<String>,
}

/// Which accounts are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Which of them.
    pub wanted: Wanted,
}

/// See [`Refresh`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those whose numbers are too old to go by: what is asked for when nothing is said.
    Stale,
    /// All that were ever signed in.
    All,
    /// Those whose numbers are older than this many seconds.
    OlderThan(u64),
    /// Those of these numbers.
    Only(Vec<u16>),
}

/// A line that is no request, with the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread(pub ErrorBody);

impl Unread {
    fn bad(message: impl Into<String>) -> Self {
        Self(ErrorBody::new(Code::BadRequest, message))
    }
}

impl Request {
    /// Reads a line, with or without its end, for a daemon that speaks `own` (which is [`PROTO`] but in tests).
    pub fn parse(line: &[u8], own: u32) -> Result<Self, Unread> {
        if line.len() > MAX_LINE {
            return Err(Unread(ErrorBody::too_long()));
        }
        let value: Value = serde_json::from_slice(line)
            .map_err(|e| Unread::bad(format!("this is no JSON object: {e}")))?;
        let Value::Object(object) = value else {
            let found = kind(&value);
            return Err(Unread::bad(format!("a request is an object, not {found}")));
        };
        Self::of(&object, own)
    }

    fn of(object: &Map<String, Value>, own: u32) -> Result<Self, Unread> {
        let fields = Fields(object);
        let proto = fields.number("proto").and_then(|p| required("proto", p));
        let proto = proto.map_err(Unread::bad)?;
        let op = fields.text("op").and_then(|op| required("op", op));
        let op = op.map_err(Unread::bad)?;
        let frozen = matches!(op.as_str(), "health" | "shutdown");
        if proto > u64::from(own) && !frozen {
            let text = format!("this daemon speaks protocol {own}, not {proto}");
            return Err(Unread(ErrorBody::new(Code::UnsupportedProto, text)));
        }
        let read = match op.as_str() {
            "health" => Ok(Self::Health),
            "status" => Ok(Self::Status),
            "select" => select(&fields),
            "checkin" => checkin(&fields),
            "refresh" => refresh(&fields),
            "shutdown" => shutdown(&fields),
            "report" => report(object),
            other => {
                let text = format!("there is no op `{}`", short(other));
                return Err(Unread(ErrorBody::new(Code::UnknownOp, text)));
            }
        };
        read.map_err(|problem| Unread::bad(format!("{op}: {problem}")))
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn op(&self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Status => "status",
            Self::Select(_) => "select",
            Self::Checkin { .. } => "checkin",
            Self::Refresh(_) => "refresh",
            Self::Shutdown { .. } => "shutdown",
            Self::Report(_) => "report",
        }
    }

    /// The line, its end included.
    #[must_use]
    pub fn line(&self) -> String {
        let mut object = match self {
            Self::Report(report) => serde_json::to_value(report).unwrap_or_default(),
            Self::Select(select) => json!({
                "account": select.account, "model": select.model, "cwd": select.cwd,
            }),
            Self::Checkin { lease } => json!({ "lease": lease }),
            Self::Refresh(refresh) => match &refresh.wanted {
                Wanted::Stale => json!({}),
                Wanted::All => json!({ "all": true }),
                Wanted::OlderThan(seconds) => json!({ "older_than_s": seconds }),
                Wanted::Only(accounts) => json!({ "accounts": accounts }),
            },
            Self::Shutdown { for_proto } => json!({ "for_proto": for_proto }),
            Self::Health | Self::Status => json!({}),
        };
        if let Value::Object(fields) = &mut object {
            fields.retain(|_, value| !value.is_null());
            fields.insert("proto".to_owned(), PROTO.into());
            fields.insert("op".to_owned(), self.op().into());
        }
        format!("{object}\n")
    }
}

fn select(fields: &Fields<'_>) -> Result<Request, String> {
    let cwd = fields.text("cwd")?;
    if cwd.as_ref().is_some_and(|cwd| !cwd.starts_with('/')) {
        return Err("`cwd` takes an absolute path".to_owned());
    }
    Ok(Request::Select(Select {
        account: fields.text("account")?,
        model: fields.text("model")?,
        cwd,
    }))
}

fn checkin(fields: &Fields<'_>) -> Result<Request, String> {
    let lease = required("lease", fields.text("lease")?)?;
    Ok(Request::Checkin { lease })
}

fn refresh(fields: &Fields<'_>) -> Result<Request, String> {
    let all = fields.flag("all")?.unwrap_or(false);
    let older = fields.number("older_than_s")?;
    let accounts = fields.numbers("accounts")?;
    let wanted = match (all, older, accounts) {
        (false, None, None) => Wanted::Stale,
        (true, None, None) => Wanted::All,
        (false, Some(seconds), None) => Wanted::OlderThan(seconds),
        (false, None, Some(accounts)) => Wanted::Only(accounts),
        _ => {
            return Err("only one of `all`, `older_than_s` and `accounts` may be given".to_owned());
        }
    };
    Ok(Request::Refresh(Refresh { wanted }))
}

fn shutdown(fields: &Fields<'_>) -> Result<Request, String> {
    let number = fields.number("for_proto")?.map(u32::try_from).transpose();
    let for_proto = number.map_err(|_| "`for_proto` is too large".to_owned())?;
    Ok(Request::Shutdown { for_proto })
}

fn report(object: &Map<String, Value>) -> Result<Request, String> {
    let fields = Fields(object);
    // Read one by one first: what serde says of a wrong type does not name the field.
    required("account", fields.number("account")?)?;
    required("source", fields.text("source")?)?;
    fields.text("account_uuid")?;
    match object.get("measured_at_ms") {
        None => return Err("`measured_at_ms` is missing".to_owned()),
        Some(value) if !value.is_i64() => {
            let found = kind(value);
            return Err(format!(
                "`measured_at_ms` takes a whole number, not {found}"
            ));
        }
        Some(_) => {}
    }
    let report: Report = serde_json::from_value(Value::Object(object.clone()))
        .map_err(|e| format!("`windows`, `extra` or `limited_until_ms`: {e}"))?;
    if report.account_id().is_none() {
        return Err("`account` is no account's number".to_owned());
    }
    Ok(Request::Report(Box::new(report)))
}

/// Foreign text, short enough to be quoted.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
