//! What clients ask, as the machine takes it; and what is only looked up.

use super::handoff::open_elsewhere;
use super::log::Category;
use super::main_loop::{Event, Pool};
use super::perform::internal;
use super::processes::LookFor;
use super::server::{Answer, Ask, ReplyTo};
use super::settings::Blueprint;
use super::views;
use crate::adapters::short_path;
use crate::contract::pool::{
    Code, Detail, Excerpt, Ls, Pin, PoolError, Reply, Request, Set, Source, Start, Verbosity,
};
use crate::contract::proto::host::{Look, Size, ToHost};
use crate::core::pool::action::{Content, ContentSource, Detail as Much};
use crate::core::pool::event::{self as pool, Event as Happened, NewSession, Settable};
use crate::core::pool::id::{SessionId, Ticket};
use crate::core::pool::status::Status;
use crate::core::pool::view::{Listing, SessionView};
use crate::core::prompt::{Prompt, Refusal as Unfit};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Takes a request: it is answered here, or owed.
pub(super) fn take(pool: &mut Pool, ask: Ask) {
    let Ask { request, reply } = ask;
    if !pool.machine.is_initialized() && !request.works_before_init() {
        reply.send(Err(PoolError::not_initialized()));
        return;
    }
    match request {
        // The login shell is asked first.
        Request::Init(init) if !pool.machine.is_initialized() => {
            let request = Request::Init(init);
            prepare(pool, Ask { request, reply });
        }
        // These wait for a host.
        Request::Attach { session_id } => attach(pool, &session_id, reply),
        Request::DebugCapture { slot, raw } => debug_capture(pool, slot, raw, reply),
        // These are the machine's.
        request @ (Request::Init(_)
        | Request::Resize { .. }
        | Request::Destroy { .. }
        | Request::Start(_)
        | Request::Followup { .. }
        | Request::Wait(_)
        | Request::Capture { .. }
        | Request::Stop { .. }
        | Request::Archive(_)
        | Request::Unarchive { .. }
        | Request::Set(_)) => match translated(pool, request) {
            Ok(request) => {
                let ticket = pool.owe(reply);
                pool.tell_machine(Happened::Request { ticket, request });
            }
            Err(error) => {
                reply.send(Err(error));
            }
        },
        // These are looked up.
        request => {
            let answer = look_up(pool, request);
            reply.send(answer);
        }
    }
}

/// Ends the pool as `destroy` does, without a client.
pub(super) fn end_all(pool: &mut Pool) {
    let ticket: Ticket = pool.owe(ReplyTo::nobody());
    let request = pool::Request::Destroy { confirm: true };
    pool.tell_machine(Happened::Request { ticket, request });
}

fn translated(pool: &mut Pool, request: Request) -> Result<pool::Request, PoolError> {
    Ok(match request {
        Request::Init(init) => pool::Request::Init {
            size: init.size.map(i64::from),
            no_restore: init.no_restore,
        },
        Request::Resize { size } => pool::Request::Resize {
            size: i64::from(size),
        },
        Request::Destroy { confirm } => pool::Request::Destroy { confirm },
        Request::Start(start) => {
            pool.notice_rules();
            pool::Request::Start(new_session(pool, start)?)
        }
        Request::Followup { session_id, prompt } => {
            let view = pool.machine.session(&session_id).ok();
            if let Some(pid) = view.as_ref().and_then(|view| elsewhere(pool, view)) {
                return Err(PoolError::open_elsewhere(pid));
            }
            let cwd = view.map(|view| view.cwd);
            pool::Request::Followup {
                session: session_id,
                prompt: fit(pool, &prompt, cwd.as_deref())?,
            }
        }
        Request::Wait(wait) => pool::Request::Wait {
            session: wait.session_id,
            parent: wait.parent.unwrap_or_default(),
            timeout: Duration::from_millis(wait.timeout_ms),
            content: content(wait.excerpt),
        },
        Request::Capture {
            session_id,
            excerpt,
        } => pool::Request::Capture {
            session: session_id,
            content: content(excerpt),
        },
        Request::Stop { session_id } => pool::Request::Stop {
            session: session_id,
        },
        Request::Archive(archive) => pool::Request::Archive {
            session: archive.session_id,
            recursive: archive.recursive,
        },
        Request::Unarchive { session_id } => pool::Request::Unarchive {
            session: session_id,
        },
        Request::Set(set) => pool::Request::Set {
            session: set.session_id.clone(),
            set: settable(set),
        },
        other => {
            return Err(internal(format!(
                "{} is no request of this kind",
                other.name()
            )));
        }
    })
}

/// Before the first slot: what they are started from, as it is now. Takes as long as the start-up files of a shell.
fn prepare(pool: &Pool, ask: Ask) {
    let configured = Arc::clone(&pool.ground.configured);
    let (events, log) = (pool.ground.events.clone(), pool.ground.log.clone());
    let job = move || {
        if let Some(problem) = configured.ask_shell() {
            log.write(Category::Error, None, &format!("environment: {problem}"));
        }
        let blueprint = configured.blueprint().and_then(|blueprint| {
            configured.check_trust(&blueprint)?;
            Ok(Box::new(blueprint))
        });
        let _ = events.send(Event::Prepared(ask, blueprint));
    };
    let thread = std::thread::Builder::new().name("preparer".to_owned());
    if let Err(error) = thread.spawn(job) {
        let message = format!("no thread for an init: {error}");
        pool.ground.log.write(Category::Error, None, &message);
    }
}

/// Begins, if slots can be started at all.
pub(super) fn prepared(pool: &mut Pool, ask: Ask, blueprint: Result<Box<Blueprint>, PoolError>) {
    let Ask { request, reply } = ask;
    match blueprint.and_then(|blueprint| Ok((translated(pool, request)?, blueprint))) {
        Ok((request, blueprint)) => {
            // As `resize` does: the daemon after a crash has to have as many slots as this one.
            if let pool::Request::Init {
                size: Some(size), ..
            } = &request
                && let Ok(size) = u32::try_from(*size)
                && let Err(error) = pool.ground.configured.save_size(size)
            {
                reply.send(Err(error));
                return;
            }
            pool.blueprint = *blueprint;
            let settings = pool.blueprint.settings();
            pool.tell_machine(Happened::SettingsChanged(settings));
            let ticket = pool.owe(reply);
            pool.tell_machine(Happened::Request { ticket, request });
        }
        Err(error) => {
            reply.send(Err(error));
        }
    }
}

/// The process that has a session open which is in no slot.
fn elsewhere(pool: &Pool, view: &SessionView) -> Option<u32> {
    let uuid = view.claude_uuid.as_ref()?;
    let rests = matches!(view.status, Status::Offloaded | Status::Error);
    let ground = &pool.ground;
    let state_dir = ground.configured.config_dir();
    rests
        .then(|| open_elsewhere(ground.dir.path(), state_dir, uuid.as_str()))
        .flatten()
}

fn new_session(pool: &Pool, start: Start) -> Result<NewSession, PoolError> {
    let account = start.account.filter(|account| !account.is_empty());
    let accounts = pool.ground.configured.accounts();
    let cwd = start.cwd.as_deref().map(directory).transpose()?;
    let account = account.map(|reference| {
        let id = accounts.resolve(&reference)?;
        let dir = cwd.as_deref().unwrap_or_else(|| pool.blueprint.dir());
        accounts.check_rules(id, dir).map(|()| id)
    });
    let account = account
        .transpose()
        .map_err(|why| PoolError::new(Code::BadAccount, why))?;
    let prompt = start.prompt.filter(|prompt| !prompt.is_empty());
    let prompt = prompt.map(|prompt| fit(pool, &prompt, cwd.as_deref()));
    let id = loop {
        let bits = crate::adapters::files::random_u64().map_err(internal)?;
        let id = SessionId::from_bits(bits);
        if !pool.machine.has(id) {
            break id;
        }
    };
    Ok(NewSession {
        id,
        prompt: prompt.transpose()?,
        parent: start.parent.unwrap_or_default(),
        metadata: start
            .metadata
            .map(texts)
            .unwrap_or_default()
            .into_iter()
            .collect(),
        cwd,
        account,
    })
}

/// A directory that a client names: absolute, and there.
fn directory(text: &str) -> Result<PathBuf, PoolError> {
    let refused = |why: String| PoolError::new(Code::BadCwd, why);
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(refused(format!("cwd must be an absolute path: {text}")));
    }
    let path = fs::canonicalize(path).map_err(|e| refused(format!("cwd {text}: {e}")))?;
    if path.is_dir() {
        Ok(path)
    } else {
        Err(refused(format!("cwd {text} is not a directory")))
    }
}

/// A prompt in the form that claude takes as text.
fn fit(pool: &Pool, prompt: &str, cwd: Option<&Path>) -> Result<Arc<str>, PoolError> {
    let cwd = cwd.unwrap_or_else(|| pool.blueprint.dir());
    let is_custom = |name: &str| pool.ground.configured.is_command(cwd, name);
    match Prompt::parse(prompt, is_custom) {
        Ok(prompt) => Ok(Arc::from(prompt.typed())),
        Err(why @ Unfit::Reserved { .. }) => {
            Err(PoolError::new(Code::ReservedPrompt, why.to_string()))
        }
        Err(why @ (Unfit::Empty | Unfit::TooLong { .. })) => {
            Err(PoolError::new(Code::BadRequest, why.to_string()))
        }
    }
}

const fn content(excerpt: Excerpt) -> Content {
    Content {
        source: match excerpt.source {
            Source::Jsonl => ContentSource::Transcript,
            Source::Buffer => ContentSource::Terminal,
        },
        turns: excerpt.turns,
        detail: match excerpt.detail {
            Detail::Last => Much::Last,
            Detail::Assistant => Much::Assistant,
            Detail::Tools => Much::Tools,
            Detail::Raw => Much::Raw,
        },
    }
}

fn settable(set: Set) -> Settable {
    let metadata = set.metadata.map(|object| {
        let pair =
            |(key, value): (String, Value)| (key, (!value.is_null()).then(|| value.to_string()));
        object.into_iter().map(pair).collect()
    });
    Settable {
        priority: set.priority,
        pinned: set.pinned.map(|pin| match pin {
            Pin::ForMs(ms) => pool::Pin::For(Duration::from_millis(ms)),
            Pin::Release => pool::Pin::Off,
        }),
        metadata,
    }
}

fn texts(object: Map<String, Value>) -> Vec<(String, String)> {
    let pair = |(key, value): (String, Value)| (!value.is_null()).then(|| (key, value.to_string()));
    object.into_iter().filter_map(pair).collect()
}

fn look_up(pool: &mut Pool, request: Request) -> Answer {
    match request {
        Request::Health => Ok(health(pool, None)),
        Request::Config { set } => config(pool, set.as_ref()),
        Request::Ls(ls) => Ok(list(pool, &ls)),
        Request::Info(info) => {
            let view = pool.machine.session(&info.session_id);
            let view = view.map_err(|refusal| views::refusal(&refusal))?;
            let session = views::session(&view, info.verbosity, &pool.ground.configured.labels());
            Ok(Reply::Session {
                session: Box::new(session),
            })
        }
        Request::PtyResize {
            session_id,
            cols,
            rows,
        } => {
            let size = Size { cols, rows };
            tell_live(pool, &session_id, ToHost::Resize(size))
        }
        Request::Input { session_id, data } => {
            let bytes = data.into_bytes();
            tell_live(pool, &session_id, ToHost::Input { bytes })
        }
        Request::DebugSlots => Ok(slots(pool)),
        other => Err(internal(format!("{} is answered elsewhere", other.name()))),
    }
}

/// The pool's health, as a reply.
pub(super) fn health(pool: &Pool, readopted: Option<u32>) -> Reply {
    let configured = &pool.ground.configured;
    let view = pool.machine.health();
    let config = configured.config();
    let health = views::health(
        &view,
        &pool.ground.name,
        &config,
        readopted,
        &configured.labels(),
    );
    Reply::Health {
        health: Box::new(health),
    }
}

fn config(pool: &mut Pool, set: Option<&Map<String, Value>>) -> Answer {
    if let Some(set) = set {
        pool.ground.configured.change(set)?;
        let keys: Vec<&str> = set.keys().map(String::as_str).collect();
        let message = format!("config changed: {}", keys.join(", "));
        pool.ground.log.write(Category::Api, None, &message);
        pool.look_at_settings();
    }
    Ok(Reply::Config {
        config: pool.ground.configured.config(),
    })
}

fn list(pool: &Pool, ls: &Ls) -> Reply {
    let verbosity = ls.shown();
    let statuses = ls.statuses.iter().flatten();
    let listing = Listing {
        parent: ls.parent.clone(),
        all: ls.all,
        tree: ls.tree,
        archived: ls.archived,
        statuses: statuses.map(|status| views::own_status(*status)).collect(),
        nested: verbosity != Verbosity::Flat,
    };
    let labels = pool.ground.configured.labels();
    let found = pool.machine.list(&listing);
    let sessions = found
        .iter()
        .map(|view| views::session(view, verbosity, &labels));
    Reply::Sessions {
        sessions: sessions.collect(),
    }
}

fn tell_live(pool: &mut Pool, session: &str, order: ToHost) -> Answer {
    let live = pool.machine.live(session);
    let (_, place) = live.map_err(|refusal| views::refusal(&refusal))?;
    if let Some(process) = pool.process_of(place) {
        if let (ToHost::Resize(size), Some(state)) = (&order, &mut process.state) {
            state.size = *size;
        }
        process.tell(order);
    }
    Ok(Reply::Ok)
}

fn attach(pool: &mut Pool, session: &str, reply: ReplyTo) {
    let live = pool.machine.live(session);
    let (id, place) = match live {
        Ok(live) => live,
        Err(refusal) => {
            reply.send(Err(views::refusal(&refusal)));
            return;
        }
    };
    let path = match short_path::usable(&pool.ground.dir.attach_socket(&id.to_string())) {
        Ok(path) => path,
        Err(error) => {
            reply.send(Err(internal(error)));
            return;
        }
    };
    match pool.process_of(place) {
        Some(process) => process.attach(path, reply),
        None => {
            reply.send(Err(internal("the session's host is gone")));
        }
    }
}

fn debug_capture(pool: &mut Pool, slot: u32, raw: bool, reply: ReplyTo) {
    let process = pool.processes.values_mut();
    let process = process.rev().find(|process| process.place.slot.0 == slot);
    match process {
        Some(process) => {
            let what = if raw { Look::Tail } else { Look::Text };
            let whom = LookFor::Client {
                reply,
                session: None,
                turns: 0,
            };
            process.look(what, whom);
        }
        None => {
            let text = format!("slot {slot} has no process");
            reply.send(Err(PoolError::new(Code::NoSuchSlot, text)));
        }
    }
}

fn slots(pool: &Pool) -> Reply {
    let one = |view: &crate::core::pool::view::SlotView| {
        let process = view.place.and_then(|place| pool.processes.get(&place));
        let host = process.and_then(|p| p.state.as_ref()).map(|s| s.host.pid);
        let account = process.and_then(|p| p.origin.account());
        views::slot(view, host, account)
    };
    Reply::Slots {
        slots: pool.machine.slots().iter().map(one).collect(),
    }
}
