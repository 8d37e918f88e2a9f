//! Chance does its worst to the machine; whatever it does, some things never happen, and when it stops everything comes
//! to a good end. `CCP_SEED=n` runs one seed and prints what happened; `CCP_TEST_LONG=1` runs a hundred thousand.

use super::accounts::Roster;
use super::world::{Faults, Happening, World, ms};
use crate::core::pool::event::Request;
use crate::core::pool::id::{SessionId, Ticket};
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A prompt that a client sent.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) session: SessionId,
    pub(super) ticket: Ticket,
    /// The answer was that it is accepted.
    pub(super) accepted: bool,
    pub(super) refused: bool,
    /// Somebody has had it stopped or archived, or was told that its session failed.
    pub(super) excused: bool,
}

pub(super) struct Simulation {
    pub(super) world: World,
    pub(super) promises: BTreeMap<String, Promise>,
    /// Requests that have not been answered.
    pub(super) open: BTreeMap<Ticket, Request>,
    pub(super) gone: BTreeSet<Ticket>,
    pub(super) calm: bool,
    /// Who was in the queue before the step, with what its order goes by: until when it is pinned, priority, arrival.
    pub(super) queue: Vec<(SessionId, Option<Timestamp>, i64, Option<u64>)>,
    pub(super) evictions: u64,
    pub(super) redelivered: u64,
    pub(super) taken: u64,
    pub(super) handed_over: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 1, Faults::default());
        let chance = &mut world.chance;
        let mut rarely = |most: u64| {
            let some = chance.chance(40);
            if some { chance.below(most) } else { 0 }
        };
        let faults = Faults {
            lost_hook: rarely(30),
            double_hook: rarely(20),
            late_hook: rarely(30),
            lost_registry: rarely(20),
            swallowed: rarely(25),
            disk_full: rarely(40),
            failed_start: rarely(30),
            slow_resume: rarely(30),
            no_prompt_ids: rarely(2) == 1,
            no_hooks: rarely(8) == 1,
        };
        world.faults = faults;
        let chance = &mut world.chance;
        world.people.dialogs_in = if chance.chance(30) {
            chance.below(30)
        } else {
            0
        };
        world.size = u32::try_from(world.chance.between(1, 4)).unwrap_or(1);
        if world.chance.chance(50) {
            world.roster = Roster::of(world.chance.between(1, 4));
            world.roster.limit = world.chance.between(5, 60);
        }
        world.settings.keep_fresh = u32::try_from(world.chance.below(3)).unwrap_or(0);
        Self {
            world,
            promises: BTreeMap::new(),
            open: BTreeMap::new(),
            gone: BTreeSet::new(),
            calm: false,
            queue: Vec::new(),
            evictions: 0,
            redelivered: 0,
            taken: 0,
            handed_over: 0,
        }
    }

    fn init(&mut self) {
        let machine = self.world.machine.as_ref();
        if machine.is_some_and(|machine| !machine.is_initialized()) {
            let no_restore = self.world.chance.chance(20);
            self.ask(Request::Init {
                size: None,
                no_restore,
            });
        }
    }

    pub(super) fn kill_daemon(&mut self) {
        if self.world.machine.is_none() {
            return;
        }
        self.world.kill_daemon();
        self.forget_end();
        // Their connections are gone with it; whether their requests were written, nobody knows.
        self.open.clear();
        let time = self.world.chance.between(10, 3000);
        self.world.after(time, Happening::Daemon);
    }

    fn step(&mut self, until: crate::core::time::Timestamp) -> bool {
        self.before_step();
        let more = self.world.step(until);
        self.after_step(true);
        self.init();
        self.after_step(false);
        more
    }

    fn run(&mut self) {
        self.world.start_daemon();
        self.init();
        self.after_step(false);
        for _ in 0..self.world.chance.between(20, 60) {
            let until = self.world.now.plus(ms(self.world.chance.between(1, 900)));
            while self.step(until) {}
            self.act();
            self.after_step(false);
        }
        self.calm = true;
        let faults = self.world.faults;
        self.world.faults = Faults {
            no_hooks: faults.no_hooks,
            no_prompt_ids: faults.no_prompt_ids,
            ..Faults::default()
        };
        self.calm_people();
        self.world.roster.limit = 0;
        let until = self.world.now.plus(ms(1_200_000));
        let mut steps = 0_u64;
        while self.step(until) {
            steps += 1;
            assert!(steps < 100_000, "it does not come to rest");
        }
        self.at_rest();
    }
}

/// Runs one seed; what went wrong, with what happened before.
fn try_seed(seed: u64, traced: bool) -> Result<Simulation, (String, Vec<String>)> {
    let mut simulation = Simulation::new(seed);
    simulation.world.trace = traced.then(Vec::new);
    let outcome = catch_unwind(AssertUnwindSafe(|| simulation.run()));
    match outcome {
        Ok(()) => Ok(simulation),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let trace = simulation.world.trace.take().unwrap_or_default();
            Err((text.unwrap_or_default(), trace))
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the two variables belong to this test alone"
)]
fn nothing_is_lost_or_done_twice_whatever_happens() {
    if let Some(seed) = std::env::var("CCP_SEED").ok().and_then(|s| s.parse().ok()) {
        match try_seed(seed, true) {
            Ok(simulation) => {
                for line in simulation.world.trace.into_iter().flatten() {
                    println!("{line}");
                }
            }
            Err((text, trace)) => {
                for line in trace {
                    println!("{line}");
                }
                panic!("seed {seed}: {text}");
            }
        }
        return;
    }
    let long = std::env::var("CCP_TEST_LONG").is_ok_and(|value| value == "1");
    let seeds = if long { 100_000 } else { 2_000 };
    let (mut taken, mut redelivered, mut evictions, mut handed_over) = (0, 0, 0, 0);
    let (mut lines, mut ends) = (0, 0);
    let mut failed = Vec::new();
    for seed in 0..seeds {
        match try_seed(seed, false) {
            Ok(simulation) => {
                taken += simulation.taken;
                redelivered += simulation.redelivered;
                evictions += simulation.evictions;
                lines += simulation.world.people.lines();
                ends += simulation.world.people.ends;
                handed_over += simulation.handed_over;
            }
            Err((text, _)) => failed.push(format!("seed {seed}: {text}")),
        }
        if failed.len() == 5 {
            break;
        }
    }
    assert!(
        failed.is_empty(),
        "{} (CCP_SEED=n shows what happened)",
        failed.join("; ")
    );
    println!(
        "{seeds} seeds: {taken} prompts taken, {redelivered} delivered again, {evictions} evictions, \
         {handed_over} handed over, {lines} half-typed lines, {ends} ends"
    );
    // The worlds are not so kind, or so cruel, that nothing is tried.
    assert!(taken > seeds * 5 && redelivered > seeds / 50 && evictions > seeds);
    assert!(handed_over > seeds / 2);
    assert!(lines > seeds / 8 && ends > seeds / 50);
}
