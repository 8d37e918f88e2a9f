//! From a line to a request, field by field.

use super::{Archive, Excerpt, Incoming, Info, Init, Ls, Pin, Refused, Request, Set, Start};
use super::{Subscribe, Verbosity, Wait};
use crate::contract::pool::error::PoolError;
use crate::contract::pool::fields::{Fields, Read, integer, kind, required};
use crate::contract::pool::words::{Detail, Source, Status};
use crate::contract::pool::{
    Config, DEFAULT_LOG_LINES, DEFAULT_PIN_MS, DEFAULT_TIMEOUT_MS, MAX_REQUEST,
};
use serde_json::{Map, Value};

pub(super) fn parse(line: &[u8]) -> Result<Incoming, Box<Refused>> {
    let refused = |error| Box::new(Refused { id: None, error });
    if line.len() > MAX_REQUEST {
        return Err(refused(PoolError::request_too_large()));
    }
    let value: Value =
        serde_json::from_slice(line).map_err(|error| refused(PoolError::bad_json(error)))?;
    let Value::Object(mut object) = value else {
        let text = format!("a request is an object, not {}", kind(&value));
        return Err(refused(PoolError::bad_json(text)));
    };
    let id = object.remove("id").filter(|id| !id.is_null());
    match request(&object) {
        Ok(request) => Ok(Incoming { id, request }),
        Err(error) => Err(Box::new(Refused { id, error })),
    }
}

fn request(object: &Map<String, Value>) -> Read<Request> {
    let fields = Fields(object);
    let name = required("type", fields.text("type")?)?;
    match name.as_str() {
        "ping" => Ok(Request::Ping),
        "health" => Ok(Request::Health),
        "init" => init(&fields),
        "config" => config(&fields),
        "resize" => resize(&fields),
        "destroy" => destroy(&fields),
        "start" => start(&fields),
        "followup" => followup(&fields),
        "wait" => wait(&fields),
        "capture" => capture(&fields),
        "stop" => of_session(&fields, |session_id| Request::Stop { session_id }),
        "archive" => archive(&fields),
        "unarchive" => of_session(&fields, |session_id| Request::Unarchive { session_id }),
        "set" => set(&fields),
        "pin" => legacy_pin(&fields),
        "unpin" => legacy_unpin(&fields),
        "set-priority" => legacy_priority(&fields),
        "set-metadata" => legacy_metadata(&fields),
        "ls" => ls(&fields),
        "info" => info(&fields),
        "attach" => of_session(&fields, |session_id| Request::Attach { session_id }),
        "pty-resize" => pty_resize(&fields),
        "input" => input(&fields),
        "subscribe" => subscribe(&fields),
        "debug-slots" => Ok(Request::DebugSlots),
        "debug-capture" => debug_capture(&fields),
        "debug-logs" => debug_logs(&fields),
        other => Err(PoolError::unknown_command(other)),
    }
}

fn of_session(fields: &Fields<'_>, make: impl FnOnce(String) -> Request) -> Read<Request> {
    fields.required("sessionId").map(make)
}

/// A number of slots.
fn size(fields: &Fields<'_>) -> Read<Option<u32>> {
    match fields.integer("size")? {
        None => Ok(None),
        Some(number) if number <= 0 => Err(PoolError::bad_size()),
        Some(_) => fields.count("size"),
    }
}

fn init(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Init(Init {
        size: size(fields)?,
        no_restore: fields.flag("noRestore")?.unwrap_or(false),
    }))
}

fn config(fields: &Fields<'_>) -> Read<Request> {
    let set = fields.object("set")?;
    if let Some(set) = &set {
        // A wrong value is refused before anything is done with it.
        Config::default().changed(set)?;
    }
    Ok(Request::Config { set })
}

fn resize(fields: &Fields<'_>) -> Read<Request> {
    let size = required("size", size(fields)?)?;
    Ok(Request::Resize { size })
}

fn destroy(fields: &Fields<'_>) -> Read<Request> {
    let confirm = fields.flag("confirm")?.unwrap_or(false);
    Ok(Request::Destroy { confirm })
}

fn start(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Start(Start {
        prompt: fields.filled("prompt")?,
        parent: fields.filled_or("parent", "parentId")?,
        metadata: fields.object("metadata")?,
        cwd: fields.filled("cwd")?,
        account: fields.filled("account")?,
    }))
}

fn followup(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Followup {
        session_id: fields.required("sessionId")?,
        prompt: fields.required("prompt")?,
    })
}

fn excerpt(fields: &Fields<'_>) -> Read<Excerpt> {
    let source = fields.word("source", Source::WORDS, Source::of)?;
    let detail = fields.word("detail", Detail::WORDS, Detail::of)?;
    let usual = Excerpt::default();
    Ok(Excerpt {
        source: source.unwrap_or(usual.source),
        turns: fields.count("turns")?.unwrap_or(usual.turns),
        detail: detail.unwrap_or(usual.detail),
    })
}

fn wait(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Wait(Wait {
        session_id: fields.filled("sessionId")?,
        parent: fields.filled("parent")?,
        timeout_ms: fields.count("timeout")?.unwrap_or(DEFAULT_TIMEOUT_MS),
        excerpt: excerpt(fields)?,
    }))
}

fn capture(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Capture {
        session_id: fields.required("sessionId")?,
        excerpt: excerpt(fields)?,
    })
}

fn archive(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Archive(Archive {
        session_id: fields.required("sessionId")?,
        recursive: fields.flag("recursive")?.unwrap_or(false),
    }))
}

fn set(fields: &Fields<'_>) -> Read<Request> {
    let set = Set {
        session_id: fields.required("sessionId")?,
        priority: fields.integer("priority")?,
        pinned: pinned(fields, "pinned")?,
        metadata: fields.object("metadata")?,
    };
    if set.priority.is_none() && set.pinned.is_none() && set.metadata.is_none() {
        return Err(PoolError::nothing_to_set());
    }
    Ok(Request::Set(set))
}

/// Seconds, or false.
fn pinned(fields: &Fields<'_>, name: &str) -> Read<Option<Pin>> {
    fields.read(name, "a number of seconds or false", |value| match value {
        Value::Bool(false) => Some(Pin::Release),
        Value::Number(_) => milliseconds(value).map(Pin::ForMs),
        _ => None,
    })
}

fn milliseconds(seconds: &Value) -> Option<u64> {
    if let Some(whole) = integer(seconds) {
        return u64::try_from(whole).ok()?.checked_mul(1000);
    }
    let span = std::time::Duration::try_from_secs_f64(seconds.as_f64()?).ok()?;
    u64::try_from(span.as_millis()).ok()
}

/// `pin` {sessionId, duration? seconds}; `pinned` and `seconds` are understood as well.
fn legacy_pin(fields: &Fields<'_>) -> Read<Request> {
    let mut pin = None;
    for name in ["duration", "pinned", "seconds"] {
        pin = pin.or(pinned(fields, name)?);
    }
    Ok(Request::Set(Set {
        session_id: fields.required("sessionId")?,
        pinned: pin.or(Some(Pin::ForMs(DEFAULT_PIN_MS))),
        ..Set::default()
    }))
}

fn legacy_unpin(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Set(Set {
        session_id: fields.required("sessionId")?,
        pinned: Some(Pin::Release),
        ..Set::default()
    }))
}

fn legacy_priority(fields: &Fields<'_>) -> Read<Request> {
    let priority = required("priority", fields.integer("priority")?)?;
    Ok(Request::Set(Set {
        session_id: fields.required("sessionId")?,
        priority: Some(priority),
        ..Set::default()
    }))
}

fn legacy_metadata(fields: &Fields<'_>) -> Read<Request> {
    let metadata = required("metadata", fields.object("metadata")?)?;
    Ok(Request::Set(Set {
        session_id: fields.required("sessionId")?,
        metadata: Some(metadata),
        ..Set::default()
    }))
}

fn ls(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Ls(Ls {
        parent: fields.filled_or("parent", "callerId")?,
        all: fields.flag("all")?.unwrap_or(false),
        tree: fields.flag("tree")?.unwrap_or(false),
        archived: fields.flag("archived")?.unwrap_or(false),
        statuses: statuses(fields)?,
        verbosity: verbosity(fields)?,
    }))
}

fn statuses(fields: &Fields<'_>) -> Read<Option<Vec<Status>>> {
    fields.words("statuses", Status::WORDS, Status::of)
}

fn verbosity(fields: &Fields<'_>) -> Read<Option<Verbosity>> {
    fields.word("verbosity", Verbosity::WORDS, Verbosity::of)
}

fn info(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Info(Info {
        session_id: fields.required("sessionId")?,
        verbosity: verbosity(fields)?.unwrap_or(Verbosity::Full),
    }))
}

fn pty_resize(fields: &Fields<'_>) -> Read<Request> {
    let side = |name: &str| {
        let take = |v: &Value| u16::try_from(integer(v)?).ok().filter(|n| *n > 0);
        let read = fields.read(name, "an integer from 1 to 65535", take)?;
        required(name, read)
    };
    Ok(Request::PtyResize {
        session_id: fields.required("sessionId")?,
        cols: side("cols")?,
        rows: side("rows")?,
    })
}

fn input(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Input {
        session_id: fields.required("sessionId")?,
        data: required("data", fields.text("data")?)?,
    })
}

fn subscribe(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::Subscribe(Subscribe {
        sessions: fields.texts("sessions")?,
        events: fields.texts("events")?,
        statuses: statuses(fields)?,
        fields: fields.texts("fields")?,
        ack: fields.flag("ack")?.unwrap_or(false),
    }))
}

fn debug_capture(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::DebugCapture {
        slot: required("slot", fields.count("slot")?)?,
        raw: fields.flag("raw")?.unwrap_or(false),
    })
}

fn debug_logs(fields: &Fields<'_>) -> Read<Request> {
    Ok(Request::DebugLogs {
        lines: fields.count("lines")?.unwrap_or(DEFAULT_LOG_LINES),
        follow: fields.flag("follow")?.unwrap_or(false),
    })
}
