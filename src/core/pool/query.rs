//! What clients may look at, and how they name a session.

use super::id::{Place, SessionId, SlotId};
use super::machine::Machine;
use super::record::Rest;
use super::refusal::Refusal;
use super::session::Session;
use super::slot::{Slot, State, Turn};
use super::status::{Readiness, SlotState, Status};
use super::view::{HealthView, Listing, SessionView, SlotView};
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl Machine {
    /// Whether an init has come, or living slots made one needless.
    #[must_use]
    pub const fn is_initialized(&self) -> bool {
        !matches!(self.phase, super::machine::Phase::Waiting)
    }

    /// Whether a session has this id, so that no other one may.
    #[must_use]
    pub fn has(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// The one session whose id is, or begins with, `reference`.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn resolve(&self, reference: &str) -> Result<SessionId, Refusal> {
        let unknown = || Refusal::UnknownSession(reference.to_owned());
        let (low, high) = SessionId::range(reference).ok_or_else(unknown)?;
        let visible = |session: &&Session| !session.is_hidden();
        let mut found = self
            .sessions
            .range(low..=high)
            .map(|(_, s)| s)
            .filter(visible);
        let first = found.next().ok_or_else(unknown)?;
        match found.count() {
            0 => Ok(first.id()),
            more => Err(Refusal::AmbiguousPrefix {
                prefix: reference.to_owned(),
                matches: more + 1,
            }),
        }
    }

    /// One session, its children in it.
    ///
    /// # Errors
    /// As [`Machine::resolve`].
    pub fn session(&self, reference: &str) -> Result<SessionView, Refusal> {
        let id = self.resolve(reference)?;
        let mut shown = BTreeSet::new();
        self.view(id, Some(&mut shown))
            .ok_or_else(|| Refusal::UnknownSession(reference.to_owned()))
    }

    /// Where the process of a session has to be started.
    #[must_use]
    pub fn spawn_cwd(&self, id: SessionId) -> Option<&std::path::Path> {
        self.sessions.get(&id).map(|s| s.record.spawn_cwd.as_path())
    }

    /// The sessions that a client wants listed, oldest first.
    #[must_use]
    pub fn list(&self, listing: &Listing) -> Vec<SessionView> {
        let parent = listing.parent.as_deref().filter(|_| !listing.all);
        let mut wanted: Vec<&Session> = match parent {
            None => self.sessions.values().filter(|s| !s.is_hidden()).collect(),
            Some(parent) => self.below(parent, listing.tree),
        };
        wanted.retain(|session| {
            let status = self.status_of(session.id());
            let listed = listing.archived || status != Status::Archived;
            listed && (listing.statuses.is_empty() || listing.statuses.contains(&status))
        });
        wanted.sort_by_key(|session| (session.record.created_at, session.id()));
        if !listing.nested {
            let views = wanted.iter().filter_map(|s| self.view(s.id(), None));
            return views.collect();
        }
        self.nest(&wanted)
    }

    /// Sessions with their children in them; each is shown once.
    fn nest(&self, wanted: &[&Session]) -> Vec<SessionView> {
        let listed: BTreeSet<SessionId> = wanted.iter().map(|s| s.id()).collect();
        let mut inner = BTreeSet::new();
        for session in wanted {
            for child in self.children_of(session) {
                if child != session.id() && listed.contains(&child) {
                    inner.insert(child);
                }
            }
        }
        let mut shown = BTreeSet::new();
        let mut views = Vec::new();
        // Those in a ring of parents are nobody's top: they come where the first of them does.
        let tops = wanted.iter().filter(|s| !inner.contains(&s.id()));
        let rings = wanted.iter().filter(|s| inner.contains(&s.id()));
        for session in tops.chain(rings) {
            if !shown.contains(&session.id()) {
                views.extend(self.view(session.id(), Some(&mut shown)));
            }
        }
        views.sort_by_key(|view| (view.created_at, view.id));
        views
    }

    /// The session that a client wants to attach to or type into, and where it is.
    ///
    /// # Errors
    /// As [`Machine::resolve`], or it is not in a slot.
    pub fn live(&self, reference: &str) -> Result<(SessionId, Place), Refusal> {
        let id = self.resolve(reference)?;
        let status = self.status_of(id);
        match self.hosted_at(id) {
            Some(place) => Ok((id, place)),
            None => Err(Refusal::NotLive { status }),
        }
    }

    /// Every slot.
    #[must_use]
    pub fn slots(&self) -> Vec<SlotView> {
        let slots = self.slots.values().map(|slot| SlotView {
            slot: slot.id,
            state: slot.shown(),
            place: slot.place(),
            pid: slot.process.as_ref().and_then(|p| p.pid),
            session: slot.session().or(slot.launching()),
            uuid: slot.process.as_ref().and_then(|p| p.uuid.clone()),
            leaving: slot.leaving,
            failures: slot.failures,
            problem: slot.problem.clone(),
        });
        slots.collect()
    }

    /// How the pool is.
    #[must_use]
    pub fn health(&self) -> HealthView {
        let mut slots: BTreeMap<SlotState, u32> = SlotState::ALL.map(|s| (s, 0)).into();
        let mut counted: Vec<&Slot> = self.slots.values().filter(|s| !s.leaving).collect();
        // After a shrink, those that could leave any moment are not counted; who works stays till the end.
        counted.sort_by_key(|slot| match slot.shown() {
            SlotState::Processing => 0,
            SlotState::Resuming => 1,
            SlotState::Idle => 2,
            _ => 3,
        });
        let mut accounts = BTreeMap::new();
        for slot in counted.iter().take(self.size as usize) {
            *slots.entry(slot.shown()).or_default() += 1;
            if let Some(account) = slot.process.as_ref().and_then(|p| p.account) {
                *accounts.entry(account).or_default() += 1;
            }
        }
        let mut sessions: BTreeMap<Status, usize> = Status::ALL.map(|s| (s, 0)).into();
        for session in self.sessions.values().filter(|s| !s.is_hidden()) {
            *sessions.entry(self.status_of(session.id())).or_default() += 1;
        }
        let problems: BTreeSet<&String> = self
            .slots
            .values()
            .filter_map(|s| s.problem.as_ref())
            .collect();
        HealthView {
            size: self.size,
            queue_depth: sessions[&Status::Queued],
            slots,
            leaving: u32::try_from(self.slots.len())
                .unwrap_or(u32::MAX)
                .saturating_sub(self.size),
            sessions,
            accounts,
            problems: problems.into_iter().cloned().collect(),
        }
    }

    pub(super) fn status_of(&self, id: SessionId) -> Status {
        let Some(session) = self.sessions.get(&id) else {
            return Status::Offloaded;
        };
        match self.slot_of(id).and_then(|slot| self.slots.get(&slot)) {
            Some(slot) => match &slot.state {
                State::Hosting(_, Turn::Quiet { .. }) if session.prompt.is_none() => Status::Idle,
                State::Hosting(..) => Status::Processing,
                _ => Status::Queued,
            },
            None => session.status_at_rest(),
        }
    }

    /// The slot that a session is in, or is being brought back in.
    pub(super) fn slot_of(&self, id: SessionId) -> Option<SlotId> {
        let seat = self.sessions.get(&id)?.record.seat?;
        let slot = self.slots.get(&seat.place.slot)?;
        (slot.session() == Some(id)).then_some(slot.id)
    }

    /// Where a loaded session is.
    pub(super) fn hosted_at(&self, id: SessionId) -> Option<Place> {
        let slot = self.slots.get(&self.slot_of(id)?)?;
        matches!(slot.state, State::Hosting(..))
            .then(|| slot.place())
            .flatten()
    }

    pub(super) fn problem_of(&self, id: SessionId) -> String {
        match self.sessions.get(&id).map(|s| &s.record.rest) {
            Some(Rest::Failed(why)) => why.clone(),
            _ => String::new(),
        }
    }

    /// What stands at a session's prompt; none while it is not loaded. The pool's own typing does not count.
    pub(super) fn pending_of(&self, id: SessionId) -> Option<String> {
        let slot = self.slots.get(&self.slot_of(id)?)?;
        let process = slot.process.as_ref()?;
        match &slot.state {
            State::Hosting(_, Turn::Quiet { .. } | Turn::Running(_)) => {
                Some(process.pending.clone())
            }
            State::Hosting(..) => Some(String::new()),
            _ => None,
        }
    }

    /// What a session waits for a person for.
    pub(super) fn waiting_for(&self, id: SessionId) -> Option<String> {
        let session = self.sessions.get(&id)?;
        let Some(slot) = self.slot_of(id).and_then(|slot| self.slots.get(&slot)) else {
            return session.stuck_for.clone();
        };
        match (&slot.state, &slot.process.as_ref()?.registry.readiness) {
            (State::Hosting(..), Readiness::Waiting { what }) => Some(what.clone()),
            _ => None,
        }
    }

    fn view(&self, id: SessionId, nested: Option<&mut BTreeSet<SessionId>>) -> Option<SessionView> {
        let session = self.sessions.get(&id)?;
        let record = &session.record;
        let process = self
            .slot_of(id)
            .and_then(|slot| self.slots.get(&slot)?.process.as_ref());
        let mut children = Vec::new();
        if let Some(shown) = nested {
            shown.insert(id);
            for child in self.children_of(session) {
                let archived = self.sessions.get(&child).is_none_or(Session::is_archived);
                if !archived && !shown.contains(&child) {
                    children.extend(self.view(child, Some(&mut *shown)));
                }
            }
        }
        Some(SessionView {
            id,
            status: self.status_of(id),
            priority: record.priority,
            pinned: session.is_pinned(self.now),
            pending_input: self.pending_of(id),
            children,
            parent: record.parent.clone(),
            cwd: record.cwd.clone(),
            claude_uuid: record.uuid.clone(),
            spawn_cwd: record.spawn_cwd.clone(),
            created_at: record.created_at,
            pid: process.and_then(|p| p.pid),
            metadata: record.metadata.clone(),
            account: process.map_or(record.account, |p| p.account),
            model: record.model.clone(),
            last_used_at: record.last_used_at,
            waiting_for: self.waiting_for(id),
            limited_until: self.limited_until(id),
            problem: Some(self.problem_of(id)).filter(|why| !why.is_empty()),
            redelivered: session.prompt.as_ref().is_some_and(|p| p.redelivered),
        })
    }
}

/// Sessions by what they name as their parent, oldest first.
pub(super) type Children = BTreeMap<String, BTreeSet<(Timestamp, SessionId)>>;

impl Machine {
    /// Takes a session in.
    pub(super) fn admit(&mut self, session: Session) {
        let (id, record) = (session.id(), &session.record);
        if !record.parent.is_empty() {
            let children = self.children.entry(record.parent.clone()).or_default();
            children.insert((record.created_at, id));
        }
        self.sessions.insert(id, session);
    }

    /// Forgets a session.
    pub(super) fn expel(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        let record = &session.record;
        if let Some(children) = self.children.get_mut(&record.parent) {
            children.remove(&(record.created_at, id));
            if children.is_empty() {
                self.children.remove(&record.parent);
            }
        }
        Some(session)
    }

    /// Those who name this very word as their parent, oldest first.
    fn named_as_parent(&self, parent: &str) -> impl Iterator<Item = SessionId> {
        let children = self.children.get(parent).into_iter().flatten();
        let visible = |id: &SessionId| self.sessions.get(id).is_some_and(|s| !s.is_hidden());
        children.map(|(_, id)| *id).filter(visible)
    }

    /// Those who name this session, by its id or by claude's, as their parent.
    fn children_of(&self, session: &Session) -> Vec<SessionId> {
        if self.children.is_empty() {
            return Vec::new();
        }
        let uuid = session.record.uuid.as_ref();
        let by_uuid = uuid.map(|uuid| self.named_as_parent(uuid.as_str()));
        let id = session.id().to_string();
        let by_id = self.named_as_parent(&id);
        let mut found: Vec<SessionId> = by_id.chain(by_uuid.into_iter().flatten()).collect();
        found.sort_by_key(|id| self.sessions.get(id).map(|s| (s.record.created_at, *id)));
        found.dedup();
        found
    }

    /// The children of any word, and theirs when asked for.
    fn below(&self, parent: &str, tree: bool) -> Vec<&Session> {
        // A session may be named by its id or by claude's; its children may use the other one.
        let named = self.sessions.values().find(|session| {
            session.id().to_string() == parent
                || session
                    .record
                    .uuid
                    .as_ref()
                    .is_some_and(|u| u.as_str() == parent)
        });
        let mut open = match named {
            Some(session) => self.children_of(session),
            None => self.named_as_parent(parent).collect(),
        };
        let mut found = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !found.insert(id) || !tree {
                continue;
            }
            if let Some(session) = self.sessions.get(&id) {
                open.extend(self.children_of(session));
            }
        }
        found
            .iter()
            .filter_map(|id| self.sessions.get(id))
            .collect()
    }

    /// Everything below a session that is not archived, itself left out.
    pub(super) fn descendants(&self, id: SessionId) -> Vec<SessionId> {
        let mut found = self.below(&id.to_string(), true);
        found.retain(|session| session.id() != id && !session.is_archived());
        found.iter().map(|session| session.id()).collect()
    }
}
