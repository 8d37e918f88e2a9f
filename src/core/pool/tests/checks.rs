//! What never happens, and what always has happened in the end.

use super::accounts::fate;
use super::simulation::Simulation;
use crate::core::pool::action::{Action, Fact, ReplaceReason, Reply, Typing};
use crate::core::pool::handoff::CONTINUE;
use crate::core::pool::id::{DeliveryNumber, Place, SessionId, Ticket};
use crate::core::pool::machine::Machine;
use crate::core::pool::notice::Notice;
use crate::core::pool::slot::{State, Turn};
use crate::core::pool::status::{Readiness, Status};
use std::collections::BTreeSet;

impl Simulation {
    pub(super) fn excuse(&mut self, session: SessionId) {
        for promise in self.promises.values_mut() {
            promise.excused |= promise.session == session;
        }
    }

    pub(super) fn before_step(&mut self) {
        self.queue.clear();
        if let Some(machine) = &self.world.machine {
            let ready = |id: &SessionId| {
                let session = &machine.sessions[id];
                session.accepting.is_none()
                    && session.load_failures == 0
                    && !machine.is_launched_for(*id)
                    && machine.is_ordinary(session)
            };
            let known = |id: SessionId| {
                let record = &machine.sessions[&id].record;
                (id, record.pinned_until, record.priority, record.order)
            };
            let waiting = machine.waiting().into_iter().filter(ready);
            self.queue = waiting.map(known).collect();
        }
    }

    /// Looks at everything that the machine has just done. `alone`: no client asked for anything in between.
    pub(super) fn after_step(&mut self, alone: bool) {
        let actions = std::mem::take(&mut self.world.performed);
        if actions.is_empty() && !alone {
            return;
        }
        for action in &actions {
            self.look_at(action);
        }
        if alone {
            // Worked out here once more: pinned ones, then by priority, then by when they came. A pin may have run out
            // with this very step.
            let now = self.world.now;
            self.queue
                .sort_by_key(|(_, pinned_until, priority, order)| {
                    let is_pinned = pinned_until.is_some_and(|until| until > now);
                    (!is_pinned, -priority, *order)
                });
            self.check_order(&actions);
        }
        if let Some(machine) = &self.world.machine {
            // A daemon that leaves lets the next one see who has died.
            if !self.leaves() {
                check_slots(machine);
            }
            self.check_sum(machine);
            self.check_handled(machine);
        }
    }

    fn look_at(&mut self, action: &Action) {
        match action {
            Action::Reply { ticket, reply } => self.answered(*ticket, reply),
            Action::ReplyContent { ticket, .. } => self.close(*ticket),
            Action::Type {
                place,
                number,
                typing,
            } => self.check_typing(*place, *number, typing),
            Action::Log(fact) => self.check_fact(fact),
            Action::Notify(Notice::Status {
                session,
                status: Status::Error,
                ..
            }) => {
                self.check_failure(*session);
                self.excuse(*session);
            }
            Action::Shutdown => self.shut_down(),
            _ => {}
        }
    }

    fn close(&mut self, ticket: Ticket) {
        let gone = self.gone.contains(&ticket);
        assert!(
            self.open.remove(&ticket).is_some() || gone,
            "{ticket:?} is answered twice"
        );
    }

    fn answered(&mut self, ticket: Ticket, reply: &Reply) {
        self.close(ticket);
        let promise = self.promises.iter_mut().find(|(_, p)| p.ticket == ticket);
        let Some((text, promise)) = promise else {
            return;
        };
        match reply {
            Reply::Started { session, .. } => {
                promise.accepted = true;
                let row = self.world.disk.prompts.get(session);
                let written = row.is_some_and(|(prompt, ..)| *prompt.text == **text);
                assert!(
                    written || promise.excused,
                    "{text} is accepted and not on disk"
                );
            }
            _ => promise.refused = true,
        }
    }

    fn check_typing(&mut self, place: Place, number: DeliveryNumber, typing: &Typing) {
        let claude = self.world.hosts.get(&place).map(|host| &host.claude);
        let working = claude.and_then(|claude| claude.working.as_ref());
        let pools = working.filter(|working| self.promises.contains_key(&working.text));
        match typing {
            Typing::Prompt(text) if **text == *CONTINUE => {}
            Typing::Prompt(text) => {
                let promise = self.promises.get(&**text);
                let refused = promise.is_some_and(|promise| promise.refused);
                assert!(!refused, "{text} was refused and is typed");
                let rows = self.world.disk.prompts.values();
                let mut deliveries = rows.filter_map(|(prompt, ..)| prompt.delivery);
                let written = deliveries.any(|d| d.place == place && d.number == number);
                assert!(written, "{text} is typed before that is on disk");
                let (times, _) = fate(&self.world, text);
                assert_eq!(times, 0, "{text} is typed again");
            }
            Typing::Clear => {
                let seated = |s: &&crate::core::pool::record::SessionRecord| {
                    s.seat.is_some_and(|seat| seat.place == place)
                };
                let whose = self.world.disk.sessions.values().find(seated);
                assert!(
                    whose.is_none(),
                    "{whose:?} is cleared away, and is there on disk"
                );
                assert!(pools.is_none(), "a turn is cleared away: {pools:?}");
            }
            Typing::Resume(_) => assert!(pools.is_none(), "a turn is resumed away: {pools:?}"),
            _ => {}
        }
        if let Some(claude) = claude {
            assert_ne!(
                claude.readiness,
                Readiness::Starting,
                "typed before it is ready"
            );
        }
    }

    fn check_fact(&mut self, fact: &Fact) {
        let Some(machine) = &self.world.machine else {
            return;
        };
        match fact {
            Fact::Evicted { session, .. } => {
                self.evictions += 1;
                let pinned = machine.sessions[session].is_pinned(self.world.now);
                assert!(!pinned, "{session} is pinned and has to leave");
            }
            Fact::Redelivering { .. } => self.redelivered += 1,
            Fact::HandedOver { .. } => self.handed_over += 1,
            Fact::Replaced { place, why } => {
                let claude = self.world.hosts.get(place).map(|host| &host.claude);
                let working = claude.and_then(|claude| claude.working.as_ref());
                let working = working.filter(|w| self.promises.contains_key(&w.text));
                let excused = working.is_some_and(|w| self.promises[&w.text].excused);
                let dead = matches!(why, ReplaceReason::Unresponsive | ReplaceReason::Destroy);
                assert!(
                    working.is_none() || excused || dead,
                    "a turn is ended for {why:?}: {working:?}"
                );
            }
            _ => {}
        }
    }

    /// Whoever got a slot was the next in the queue.
    fn check_order(&self, actions: &[Action]) {
        let claimed: BTreeSet<SessionId> = actions
            .iter()
            .filter_map(|action| match action {
                Action::SetSession { session, .. } => *session,
                _ => None,
            })
            .collect();
        let Some(machine) = &self.world.machine else {
            return;
        };
        let mut passed_over = None;
        for (id, ..) in &self.queue {
            if claimed.contains(id) {
                assert_eq!(passed_over, None, "{id} is served first");
            } else if machine
                .sessions
                .get(id)
                .is_some_and(|s| s.waits() && s.load_failures == 0 && !machine.is_launched_for(*id))
            {
                passed_over = Some(*id);
            }
        }
    }

    /// When nothing happens any more, everything has come to a good end.
    pub(super) fn at_rest(&mut self) {
        let machine = self.world.machine.as_ref().expect("a daemon runs");
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
        self.check_lines(machine);
        self.check_refused();
        for (text, promise) in &self.promises {
            let (times, is_open) = fate(&self.world, text);
            let stayed = self.world.roster.stayed.contains(&promise.session);
            assert!(
                !is_open || promise.excused || stayed,
                "{text} was refused in the middle and not gone on with: {promise:?}"
            );
            assert!(times <= 1, "{text} was taken {times} times");
            assert!(
                times == 0 || !promise.refused,
                "{text} was refused and taken"
            );
            let lost = promise.accepted && !promise.excused && !stayed && times == 0;
            assert!(!lost, "{text} was accepted and is lost: {promise:?}");
            self.taken += times as u64;
        }
        for session in machine.sessions.values() {
            let status = machine.status_of(session.id());
            assert!(!status.is_busy(), "{session:?} is {status} for ever");
            let row = self.world.disk.sessions.get(&session.id());
            assert_eq!(row, Some(&session.record), "not what is on disk");
        }
        assert_eq!(self.world.disk.sessions.len(), machine.sessions.len());
        assert!(
            self.world.disk.prompts.is_empty(),
            "prompts are left on disk"
        );
        assert_eq!(machine.slots.len(), machine.size as usize, "slots");
        for slot in machine.slots.values() {
            let settled = matches!(
                slot.state,
                State::Fresh | State::Hosting(_, Turn::Quiet { .. })
            );
            let resting = matches!(slot.state, State::Empty { .. });
            assert!(settled || resting, "a slot is never done: {slot:?}");
        }
    }
}

/// A session is in one slot at most and a slot holds one session at most; they are counted right and watchers know.
fn check_slots(machine: &Machine) {
    let mut seen = BTreeSet::new();
    for slot in machine.slots.values() {
        assert_eq!(
            slot.process.is_none(),
            matches!(slot.state, State::Empty { .. }),
            "{slot:?}"
        );
        if let Some(id) = slot.session() {
            assert!(seen.insert(id), "{id} is in two slots");
            let seat = machine.sessions[&id].record.seat;
            assert_eq!(
                seat.map(|seat| seat.place),
                slot.place(),
                "{id} is elsewhere"
            );
        }
    }
    for session in machine.sessions.values() {
        let seated = session.record.seat.is_some();
        assert_eq!(seated, seen.contains(&session.id()), "{session:?}");
        if session.accepting.is_none() {
            let status = machine.status_of(session.id());
            assert_eq!(
                session.told,
                status,
                "watchers of {} are not told",
                session.id()
            );
        }
    }
    for waiter in machine.waiters.values() {
        let busy = |id| machine.has(id) && machine.status_of(id).is_busy();
        assert!(
            waiter.session.is_none_or(busy),
            "waits for nothing: {waiter:?}"
        );
    }
}
