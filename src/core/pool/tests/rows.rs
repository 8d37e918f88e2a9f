//! One decision each, in a world where nothing goes wrong.

use super::accounts::Roster;
use super::clients::LAST_ANSWER;
use super::world::{Faults, World, ms};
use crate::core::account::AccountId;
use crate::core::pool::action::{Action, Fact, Reply};
use crate::core::pool::event::{Event, NewSession, Pin, Request, Settable};
use crate::core::pool::id::{Build, SessionId, Ticket};
use crate::core::pool::machine::Machine;
use crate::core::pool::refusal::Refusal;
use crate::core::pool::status::{SlotState, Status};
use crate::core::pool::view::Listing;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pool with sessions that have names.
pub(super) struct Pool {
    pub(super) world: World,
    pub(super) names: BTreeMap<String, SessionId>,
    tickets: u64,
}

impl Pool {
    pub(super) fn new(size: u32) -> Self {
        Self::of(World::new(7, size, Faults::default()))
    }

    /// With so many accounts.
    pub(super) fn on_accounts(size: u32, count: u64) -> Self {
        let mut world = World::new(7, size, Faults::default());
        world.roster = Roster::of(count);
        Self::of(world)
    }

    fn of(mut world: World) -> Self {
        // Turns that last until they are waited for, and no questions.
        world.turn = (1200, 1200);
        world.start_daemon();
        let mut pool = Self {
            world,
            names: BTreeMap::new(),
            tickets: 0,
        };
        pool.ask(Request::Init {
            size: None,
            no_restore: false,
        });
        pool.run(3000);
        pool.world.performed.clear();
        pool
    }

    pub(super) fn machine(&self) -> &Machine {
        self.world.machine.as_ref().expect("a daemon runs")
    }

    pub(super) fn ask(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(1_000_000 + self.tickets);
        self.world.handle(Event::Request { ticket, request });
        ticket
    }

    pub(super) fn run(&mut self, time: u64) {
        let until = self.world.now.plus(ms(time));
        while self.world.step(until) {}
    }

    pub(super) fn id(&self, name: &str) -> String {
        self.names[name].to_string()
    }

    fn status(&self, name: &str) -> Status {
        self.machine().status_of(self.names[name])
    }

    /// The last answer to a ticket.
    fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        self.world
            .performed
            .iter()
            .rev()
            .find_map(|action| match action {
                Action::Reply { ticket: of, reply } if *of == ticket => Some(reply),
                _ => None,
            })
    }

    fn has_content(&self, ticket: Ticket) -> bool {
        let is_it = |action: &Action| matches!(action, Action::ReplyContent { ticket: of, .. } if *of == ticket);
        self.world.performed.iter().any(is_it)
    }

    /// Words of a script, one thing each: `start a`, `load a`, `follow a`, `stop a`, `archive a`, `pin a`, `unpin a`,
    /// `high a`, `low a`, `half a`, `fresh 2`, `size 2`, `wait 500`, `build`, `allow 2`, `crash a`, `restart`.
    pub(super) fn play(&mut self, script: &str) -> &mut Self {
        for line in script
            .split(',')
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (verb, name) = line.split_once(' ').unwrap_or((line, ""));
            self.play_one(verb, name);
        }
        self
    }

    fn play_one(&mut self, verb: &str, name: &str) {
        let number: u32 = name.parse().unwrap_or(0);
        let set = |pool: &mut Self, set: Settable| {
            let session = pool.id(name);
            pool.ask(Request::Set { session, set });
        };
        match verb {
            "start" | "load" => self.start(name, verb == "start"),
            "follow" => {
                let (session, prompt) = (self.id(name), Arc::from(format!("more {name}")));
                self.ask(Request::Followup { session, prompt });
            }
            "stop" => {
                let session = self.id(name);
                self.ask(Request::Stop { session });
            }
            "archive" => {
                let (session, recursive) = (self.id(name), true);
                self.ask(Request::Archive { session, recursive });
            }
            "pin" | "unpin" => {
                let pin = if verb == "pin" {
                    Pin::For(ms(60_000))
                } else {
                    Pin::Off
                };
                let pinned = Some(pin);
                set(
                    self,
                    Settable {
                        pinned,
                        ..Settable::default()
                    },
                );
            }
            "high" | "low" => {
                let priority = Some(if verb == "high" { 5 } else { -5 });
                set(
                    self,
                    Settable {
                        priority,
                        ..Settable::default()
                    },
                );
            }
            "half" => {
                let place = self.machine().hosted_at(self.names[name]).expect("loaded");
                let text = "half a thought".to_owned();
                let host = self.world.hosts.get_mut(&place).expect("alive");
                host.claude.in_box.clone_from(&text);
                self.world.handle(Event::PendingInput { place, text });
            }
            "fresh" | "build" | "allow" => {
                let settings = &mut self.world.settings;
                match verb {
                    "fresh" => settings.keep_fresh = number,
                    "allow" => {
                        let id = u16::try_from(number).ok().and_then(AccountId::new);
                        settings.allowed = id.map(|id| vec![id]);
                    }
                    _ => settings.build = Build(settings.build.0 + 1),
                }
                let settings = self.world.settings.clone();
                self.world.handle(Event::SettingsChanged(settings));
            }
            "size" => {
                self.ask(Request::Resize {
                    size: i64::from(number),
                });
            }
            "crash" => {
                let place = self.machine().hosted_at(self.names[name]).expect("loaded");
                let how = crate::core::pool::event::End::HostGone;
                self.world.gone(place, how);
            }
            "restart" => {
                self.world.kill_daemon();
                self.world.start_daemon();
            }
            "wait" => self.run(u64::from(number)),
            _ => panic!("unknown word {verb}"),
        }
        self.run(1);
    }

    fn start(&mut self, name: &str, prompted: bool) {
        let bits = u64::try_from(self.names.len()).unwrap_or(0) + 1;
        let id = SessionId::from_bits(bits << 40);
        self.names.insert(name.to_owned(), id);
        self.ask(Request::Start(NewSession {
            id,
            prompt: prompted.then(|| Arc::from(format!("do {name}"))),
            parent: String::new(),
            metadata: BTreeMap::new(),
            cwd: None,
            account: None,
        }));
        // Each is used at a time of its own.
        self.run(20);
    }

    /// `a idle, b queued`, by name.
    pub(super) fn shown(&self) -> String {
        let one = |(name, id): (&String, &SessionId)| match self.machine().has(*id) {
            true => format!("{name} {}", self.machine().status_of(*id)),
            false => format!("{name} gone"),
        };
        let all: Vec<String> = self.names.iter().map(one).collect();
        all.join(", ")
    }
}

#[track_caller]
fn check(size: u32, script: &str, expected: &str) {
    let mut pool = Pool::new(size);
    pool.play(script);
    assert_eq!(pool.shown(), expected, "{script}");
}

#[test]
fn the_queue_is_served_in_its_order() {
    let one = "start a, start b, start c";
    check(1, one, "a processing, b queued, c queued");
    // First come, first served.
    check(
        1,
        "start a, start b, start c, wait 2500",
        "a offloaded, b processing, c queued",
    );
    // By priority.
    check(
        1,
        "start a, start b, start c, high c, wait 2500",
        "a offloaded, b queued, c processing",
    );
    check(
        1,
        "start a, start b, low b, start c, wait 2500",
        "a offloaded, b queued, c processing",
    );
    // Pinned ones before any priority.
    check(
        1,
        "start a, start b, high b, start c, pin c, wait 2500",
        "a offloaded, b queued, c processing",
    );
    // A pin on an offloaded session queues its loading, ahead of everything.
    check(
        1,
        "start a, wait 3000, start b, wait 600, start c, pin a, wait 2500",
        "a idle, b offloaded, c queued",
    );
    // Without a prompt a session is loaded, and is idle.
    check(1, "load a, wait 500", "a idle");
    check(1, "start a, load b, wait 2500", "a offloaded, b idle");
}

#[test]
fn who_can_be_missed_most_makes_room() {
    // The one used longest ago.
    check(
        2,
        "start a, start b, wait 2500, start c, wait 600",
        "a offloaded, b idle, c processing",
    );
    check(
        2,
        "start a, start b, wait 2500, follow a, wait 2500, start c, wait 600",
        "a idle, b offloaded, c processing",
    );
    // The lowest priority before that.
    check(
        2,
        "start a, start b, low b, wait 2500, start c, wait 600",
        "a idle, b offloaded, c processing",
    );
    // Something half typed is kept where there is another one.
    check(
        2,
        "start a, start b, wait 2500, half a, start c, wait 600",
        "a idle, b offloaded, c processing",
    );
    // Who is pinned stays, and so does who works.
    check(
        2,
        "start a, start b, pin a, wait 2500, start c, wait 600",
        "a idle, b offloaded, c processing",
    );
    check(
        2,
        "start a, pin a, start b, pin b, wait 2500, start c, wait 2000",
        "a idle, b idle, c queued",
    );
    check(
        2,
        "start a, pin a, start b, pin b, wait 2500, start c, unpin b, wait 600",
        "a idle, b offloaded, c processing",
    );
    // A pin ends by itself.
    check(
        1,
        "start a, pin a, wait 2500, start b, wait 58500",
        "a offloaded, b processing",
    );
}

#[test]
fn slots_are_kept_fresh_for_new_work() {
    check(2, "fresh 0, start a, start b, wait 2500", "a idle, b idle");
    check(
        2,
        "fresh 1, start a, start b, wait 2500",
        "a offloaded, b idle",
    );
    check(
        2,
        "fresh 2, start a, start b, wait 3500",
        "a offloaded, b offloaded",
    );
    // At once.
    check(
        2,
        "start a, start b, wait 2500, fresh 1",
        "a offloaded, b idle",
    );
}

#[test]
fn a_smaller_pool_takes_slots_as_they_come_free() {
    check(2, "start a, start b, size 1", "a processing, b processing");
    check(
        2,
        "start a, start b, pin a, size 1, wait 2500",
        "a idle, b offloaded",
    );
    let mut pool = Pool::new(3);
    pool.play("start a, start b, start c, size 1");
    let health = pool.machine().health();
    assert_eq!((health.size, health.leaving), (1, 2));
    assert_eq!(health.slots[&SlotState::Processing], 1);
    // Ahead of the queue.
    pool.play("start d, wait 2100");
    assert_eq!(pool.machine().slots.len(), 1, "{}", pool.shown());
    pool.play("size 2, wait 2500");
    assert_eq!(pool.machine().slots.len(), 2);
    assert_eq!(pool.status("d"), Status::Idle);
}

#[test]
fn processes_are_replaced_when_they_are_of_another_build() {
    let mut pool = Pool::new(3);
    pool.play("start a, wait 2500, build, wait 650");
    let old = |pool: &Pool| {
        let build = pool.world.settings.build;
        pool.world
            .hosts
            .values()
            .filter(|host| host.build != build)
            .count()
    };
    assert_eq!(old(&pool), 2, "fresh ones one at a time");
    pool.play("wait 4000");
    assert_eq!(old(&pool), 1, "who is in use stays");
    pool.play("start b, start c, start d, wait 6000");
    assert_eq!(old(&pool), 0, "{}", pool.shown());
}

#[test]
fn whom_a_rule_no_longer_allows_gets_no_session() {
    let mut pool = Pool::new(3);
    pool.play("allow 1, wait 4000, start a, wait 2500, allow 2, start b, start c, wait 6000");
    let serving = |pool: &Pool, name: &str| {
        let place = pool.machine().hosted_at(pool.names[name])?;
        pool.world.hosts[&place].account.map(AccountId::number)
    };
    let shown = pool.shown();
    assert_eq!(serving(&pool, "a"), Some(1), "who is in use stays: {shown}");
    assert_eq!(serving(&pool, "b"), Some(2), "{shown}");
    assert_eq!(serving(&pool, "c"), Some(2), "{shown}");
    // And moves when it comes back from a slot of its own.
    pool.play("start d, wait 6000, follow a, wait 9000");
    assert_eq!(serving(&pool, "a"), Some(2), "{}", pool.shown());
    // Where no rule binds any more, everybody will do.
    pool.play("allow 0, start e, wait 4000");
    assert_eq!(pool.status("e"), Status::Idle, "{}", pool.shown());
}

#[test]
fn stopping_takes_back_what_was_asked() {
    check(1, "start a, wait 500, stop a, wait 2000", "a idle");
    // Never loaded: as if it had never been.
    check(1, "start a, start b, stop b", "a processing, b gone");
    // Loaded before: back to where it was.
    check(
        1,
        "start a, wait 2500, start b, wait 1000, follow a, stop a",
        "a offloaded, b processing",
    );
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500");
    let session = pool.id("a");
    let ticket = pool.ask(Request::Stop { session });
    let refusal = Refusal::NotStoppable {
        status: Status::Idle,
    };
    assert_eq!(pool.reply(ticket), Some(&Reply::Refused(refusal)));
}

#[test]
fn whoever_waits_is_answered() {
    let wait = |pool: &mut Pool, name: Option<&str>, timeout: u64| {
        let session = name.map(|name| pool.id(name));
        pool.ask(Request::Wait {
            session,
            parent: String::new(),
            timeout: ms(timeout),
            content: LAST_ANSWER,
        })
    };
    let refused = |why: Refusal| Some(Reply::Refused(why));
    let mut pool = Pool::new(2);
    let none = wait(&mut pool, None, 1000);
    assert_eq!(pool.reply(none).cloned(), refused(Refusal::NoBusySessions));
    pool.play("start a, start b, start c");
    let (of_a, any, short) = (
        wait(&mut pool, Some("a"), 9000),
        wait(&mut pool, None, 9000),
        wait(&mut pool, Some("b"), 300),
    );
    let (dead, archived) = (
        wait(&mut pool, Some("b"), 9000),
        wait(&mut pool, Some("c"), 9000),
    );
    pool.play("wait 500, archive c, crash b, wait 400");
    assert_eq!(pool.reply(short).cloned(), refused(Refusal::Timeout));
    assert_eq!(pool.reply(dead).cloned(), refused(Refusal::SessionDied));
    assert_eq!(
        pool.reply(archived).cloned(),
        refused(Refusal::ArchivedMeanwhile)
    );
    assert!(!pool.has_content(any), "there is another one");
    pool.play("wait 2500");
    assert!(pool.has_content(of_a) && pool.has_content(any));
}

#[test]
fn nobody_is_left_waiting_at_the_end() {
    for destroys in [true, false] {
        let mut pool = Pool::new(1);
        pool.play("start a, wait 500");
        let session = pool.id("a");
        let wait = pool.ask(Request::Wait {
            session: Some(session.clone()),
            parent: String::new(),
            timeout: ms(9000),
            content: LAST_ANSWER,
        });
        let stop = pool.ask(Request::Stop {
            session: session.clone(),
        });
        let archive = pool.ask(Request::Archive {
            session,
            recursive: false,
        });
        if destroys {
            pool.ask(Request::Destroy { confirm: true });
        } else {
            pool.world.handle(Event::Leaving);
        }
        let refused = Reply::Refused(Refusal::ShuttingDown);
        for ticket in [wait, stop, archive] {
            assert_eq!(pool.reply(ticket), Some(&refused), "{destroys}");
        }
        let late = pool.ask(Request::Resize { size: 2 });
        assert_eq!(pool.reply(late), Some(&refused));
        pool.run(2000);
        assert!(pool.world.shutdown);
        assert_eq!(pool.world.hosts.is_empty(), destroys);
    }
}

#[test]
fn half_typed_text_is_put_back() {
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500, half a, follow a, wait 3000");
    let in_box = |pool: &Pool| {
        pool.world
            .hosts
            .values()
            .next()
            .map(|h| h.claude.in_box.clone())
    };
    assert_eq!(in_box(&pool).as_deref(), Some("half a thought"));
    // Also when its session leaves and comes back.
    pool.play("start b, wait 4000");
    assert_eq!(in_box(&pool).as_deref(), Some(""));
    pool.play("pin a, wait 3000");
    assert_eq!(in_box(&pool).as_deref(), Some("half a thought"));
}

#[test]
fn a_new_daemon_keeps_living_slots() {
    let mut pool = Pool::new(2);
    pool.play("start a, start b, wait 500, restart, wait 100");
    assert_eq!(pool.shown(), "a processing, b processing");
    let init = Request::Init {
        size: None,
        no_restore: false,
    };
    let first = pool.ask(init.clone());
    let readopted = Some(2);
    assert_eq!(pool.reply(first), Some(&Reply::Initialized { readopted }));
    let second = pool.ask(init);
    let refusal = Refusal::AlreadyInitialized;
    assert_eq!(pool.reply(second), Some(&Reply::Refused(refusal)));
    pool.play("wait 4000");
    assert_eq!(pool.shown(), "a idle, b idle");
    let replaced = |action: &Action| matches!(action, Action::Log(Fact::Replaced { .. }));
    assert!(!pool.world.performed.iter().any(replaced));
}

#[test]
fn sessions_that_were_live_come_back() {
    let mut pool = Pool::new(2);
    pool.play("start a, start b, wait 2500, follow a, wait 2500");
    let ticket = pool.ask(Request::Destroy { confirm: false });
    let refusal = Refusal::DestroyUnconfirmed;
    assert_eq!(pool.reply(ticket), Some(&Reply::Refused(refusal)));
    pool.ask(Request::Destroy { confirm: true });
    pool.run(2000);
    assert!(pool.world.shutdown && pool.world.hosts.is_empty());
    pool.world.kill_daemon();
    pool.world.settings.keep_fresh = 1;
    pool.world.start_daemon();
    assert_eq!(pool.shown(), "a offloaded, b offloaded");
    pool.ask(Request::Init {
        size: None,
        no_restore: false,
    });
    pool.run(4000);
    assert_eq!(pool.shown(), "a idle, b offloaded", "the one used last");
}

#[test]
fn a_session_is_named_by_any_beginning_of_its_id() {
    let mut pool = Pool::new(1);
    pool.play("start a, start b");
    let a = pool.names["a"];
    assert_eq!(pool.machine().resolve(&a.to_string()[..4]), Ok(a));
    let ambiguous = pool.machine().resolve("0").expect_err("both");
    assert_eq!(
        ambiguous.to_string(),
        "ambiguous session prefix: 0 (2 matches)"
    );
    let unknown = pool.machine().resolve("f").expect_err("none");
    assert_eq!(unknown.to_string(), "session not found: f");
}

#[test]
fn children_are_shown_once_and_rings_are_cut() {
    let mut pool = Pool::new(1);
    pool.play("start a, start b, start c");
    for (child, parent) in [("b", "a"), ("c", "b"), ("a", "c")] {
        let parent = pool.id(parent);
        let id = pool.names[child];
        let machine = pool.world.machine.as_mut().expect("a daemon runs");
        let mut session = machine.expel(id).expect("there");
        session.record.parent = parent;
        machine.admit(session);
    }
    let nested = Listing {
        nested: true,
        ..Listing::default()
    };
    let views = pool.machine().list(&nested);
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].children.len(), 1);
    assert_eq!(views[0].children[0].children.len(), 1);
    assert!(views[0].children[0].children[0].children.is_empty());
    pool.play("wait 500, archive a, wait 3000");
    assert_eq!(pool.shown(), "a archived, b archived, c archived");
    // Thirty days later.
    pool.run(30 * 24 * 3600 * 1000 + 1000);
    assert_eq!(pool.shown(), "a gone, b gone, c gone");
}
