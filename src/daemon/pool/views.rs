//! The pool's own values as those of the protocol.

use crate::contract::pool::{
    AccountSlots, AccountTag, Changes, Code, Config, Event, Full, Health, PoolChange, PoolError,
    Session, SessionCounts, SlotCounts, SlotInfo, SlotState, Status, Verbosity,
};
use crate::core::account::AccountId;
use crate::core::calendar::rfc3339;
use crate::core::pool::notice::{Notice, PoolNews, Update};
use crate::core::pool::record::Metadata;
use crate::core::pool::refusal::Refusal;
use crate::core::pool::status as ours;
use crate::core::pool::view::{HealthView, SessionView, SlotView};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// What accounts are called.
pub(super) type Labels = BTreeMap<AccountId, String>;

/// A status.
pub(super) const fn status(status: ours::Status) -> Status {
    match status {
        ours::Status::Queued => Status::Queued,
        ours::Status::Idle => Status::Idle,
        ours::Status::Processing => Status::Processing,
        ours::Status::Offloaded => Status::Offloaded,
        ours::Status::Error => Status::Error,
        ours::Status::Archived => Status::Archived,
    }
}

/// A status of a client.
pub(super) const fn own_status(status: Status) -> ours::Status {
    match status {
        Status::Queued => ours::Status::Queued,
        Status::Idle => ours::Status::Idle,
        Status::Processing => ours::Status::Processing,
        Status::Offloaded => ours::Status::Offloaded,
        Status::Error => ours::Status::Error,
        Status::Archived => ours::Status::Archived,
    }
}

const fn slot_state(state: ours::SlotState) -> SlotState {
    match state {
        ours::SlotState::Fresh => SlotState::Fresh,
        ours::SlotState::Spawning => SlotState::Spawning,
        ours::SlotState::Resuming => SlotState::Resuming,
        ours::SlotState::Clearing => SlotState::Clearing,
        ours::SlotState::Idle => SlotState::Idle,
        ours::SlotState::Processing => SlotState::Processing,
        ours::SlotState::Crashed => SlotState::Crashed,
    }
}

/// A path as text; what is no UTF-8 is shown as well as it can be.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Metadata as an object.
fn object(metadata: &Metadata) -> Map<String, Value> {
    let value = |text: &String| serde_json::from_str(text).unwrap_or(Value::Null);
    let pairs = metadata.iter();
    pairs
        .map(|(key, text)| (key.clone(), value(text)))
        .collect()
}

fn tag(account: Option<AccountId>, labels: &Labels) -> Option<AccountTag> {
    let id = account?;
    let label = labels.get(&id).cloned();
    Some(AccountTag {
        id: id.number(),
        label: label.unwrap_or_else(|| id.to_string()),
    })
}

/// A session, as much of it as is wanted.
pub(super) fn session(view: &SessionView, verbosity: Verbosity, labels: &Labels) -> Session {
    let children = || view.children.iter();
    let children = children().map(|child| session(child, verbosity, labels));
    Session {
        session_id: view.id.to_string(),
        status: status(view.status),
        priority: view.priority,
        pinned: view.pinned,
        pending_input: view.pending_input.clone(),
        waiting_for: view.waiting_for.clone(),
        limited_until: view.limited_until.map(rfc3339),
        children: (verbosity != Verbosity::Flat).then(|| children.collect()),
        full: (verbosity == Verbosity::Full).then(|| full(view, labels)),
    }
}

fn full(view: &SessionView, labels: &Labels) -> Full {
    Full {
        parent: view.parent.clone(),
        cwd: text(&view.cwd),
        claude_uuid: view.claude_uuid.as_ref().map(|u| u.as_str().to_owned()),
        spawn_cwd: text(&view.spawn_cwd),
        created_at: rfc3339(view.created_at),
        pid: view.pid,
        metadata: object(&view.metadata),
        account: tag(view.account, labels),
        model: view.model.clone(),
        last_used_at: Some(rfc3339(view.last_used_at)),
    }
}

/// A slot.
pub(super) fn slot(view: &SlotView, host_pid: Option<u32>, account: Option<AccountId>) -> SlotInfo {
    SlotInfo {
        slot: view.slot.0,
        state: slot_state(view.state),
        session_id: view.session.map(|id| id.to_string()),
        claude_uuid: view.uuid.as_ref().map(|u| u.as_str().to_owned()),
        pid: view.pid,
        host_pid,
        account: account.map(AccountId::number),
        problem: view.problem.clone(),
    }
}

/// The health of the pool.
pub(super) fn health(
    view: &HealthView,
    name: &str,
    config: &Config,
    readopted: Option<u32>,
    labels: &Labels,
) -> Health {
    let mut slots = SlotCounts::default();
    for (state, count) in &view.slots {
        *slots.of(slot_state(*state)) = *count;
    }
    let mut sessions = SessionCounts::default();
    for (one, count) in &view.sessions {
        *sessions.of(status(*one)) = u32::try_from(*count).unwrap_or(u32::MAX);
    }
    let accounts = view.accounts.iter().filter_map(|(id, slots)| {
        let AccountTag { id, label } = tag(Some(*id), labels)?;
        let slots = *slots;
        Some(AccountSlots { id, label, slots })
    });
    Health {
        name: name.to_owned(),
        size: view.size,
        queue_depth: u32::try_from(view.queue_depth).unwrap_or(u32::MAX),
        slots,
        sessions,
        config: config.clone(),
        accounts: accounts.collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        readopted,
        problems: view.problems.clone(),
    }
}

/// What subscribers are told.
pub(super) fn event(notice: &Notice, labels: &Labels) -> Event {
    let id = |session: &crate::core::pool::id::SessionId| session.to_string();
    match notice {
        Notice::Status {
            session,
            status: now,
            previous,
        } => Event::Status {
            session_id: id(session),
            status: status(*now),
            prev_status: status(*previous),
        },
        Notice::Created {
            session,
            status: now,
            parent,
        } => Event::Created {
            session_id: id(session),
            status: status(*now),
            parent: parent.clone(),
        },
        Notice::Updated { session, changes } => Event::Updated {
            session_id: id(session),
            changes: collect(changes, labels),
        },
        Notice::Archived { session } => Event::Archived {
            session_id: id(session),
        },
        Notice::Unarchived { session } => Event::Unarchived {
            session_id: id(session),
        },
        Notice::Deleted { session } => Event::Deleted {
            session_id: id(session),
        },
        Notice::Pool(PoolNews::Init { size }) => Event::Pool(PoolChange::Init { size: *size }),
        Notice::Pool(PoolNews::Resize { size }) => Event::Pool(PoolChange::Resize { size: *size }),
        Notice::Pool(PoolNews::Destroy) => Event::Pool(PoolChange::Destroy),
        Notice::Pool(PoolNews::Handoff {
            session,
            from,
            to,
            until,
        }) => Event::Pool(PoolChange::Handoff {
            session_id: id(session),
            from: tag(*from, labels),
            to: tag(*to, labels),
            until: until.map(rfc3339),
        }),
    }
}

fn collect(updates: &[Update], labels: &Labels) -> Changes {
    let mut changes = Changes::default();
    for update in updates {
        match update {
            Update::Cwd(cwd) => changes.cwd = Some(text(cwd)),
            Update::Priority(priority) => changes.priority = Some(*priority),
            Update::Pinned(pinned) => changes.pinned = Some(*pinned),
            Update::PendingInput(text) => changes.pending_input = Some(text.clone()),
            Update::Metadata(metadata) => changes.metadata = Some(object(metadata)),
            Update::Account(account) => changes.account = Some(tag(*account, labels)),
            Update::WaitingFor(what) => changes.waiting_for = Some(what.clone()),
            Update::LimitedUntil(until) => {
                changes.limited_until = Some(until.map(rfc3339));
            }
        }
    }
    changes
}

/// An error of the protocol; the texts are the refusal's own.
pub(super) fn refusal(refusal: &Refusal) -> PoolError {
    let code = match refusal {
        Refusal::NotInitialized => Code::NotInitialized,
        Refusal::AlreadyInitialized => Code::AlreadyInitialized,
        Refusal::SizeNotPositive | Refusal::SizeTooLarge => Code::BadSize,
        Refusal::DestroyUnconfirmed => Code::ConfirmRequired,
        Refusal::UnknownSession(_) => Code::SessionNotFound,
        Refusal::AmbiguousPrefix { .. } => Code::AmbiguousSession,
        Refusal::StopFirst { .. } => Code::SessionBusy,
        Refusal::Archived => Code::SessionArchived,
        Refusal::NotStoppable { .. } => Code::NotStoppable,
        Refusal::UnarchivedChildren => Code::HasChildren,
        Refusal::NotArchived => Code::NotArchived,
        Refusal::NoBusySessions => Code::NoBusySessions,
        Refusal::Timeout => Code::Timeout,
        Refusal::SessionDied => Code::SessionDied,
        Refusal::ArchivedMeanwhile | Refusal::DeletedMeanwhile => Code::SessionGone,
        Refusal::BufferNeedsTerminal => Code::NotLiveBuffer,
        Refusal::NeverLoaded => Code::NoContent,
        Refusal::NotLive { .. } => Code::NotLive,
        Refusal::NothingToSet => Code::NothingToSet,
        Refusal::StopFailed => Code::StopFailed,
        Refusal::Failed { .. } => Code::NotDelivered,
        Refusal::NotWritten { .. } | Refusal::TooManyWaiters => Code::Unavailable,
        Refusal::ShuttingDown => Code::ShuttingDown,
    };
    PoolError::new(code, refusal.to_string())
}
