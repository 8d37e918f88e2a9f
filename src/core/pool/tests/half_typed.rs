//! What stands half typed at a prompt, prompts that take long to type, and numbers that outlive a daemon: one decision
//! each.

use super::rows::Pool;
use super::world::{Happening, Line};
use crate::core::pool::action::{Action, Typing};
use crate::core::pool::event::{Event, Request};
use std::sync::Arc;

const HALF: &str = "half a thought";

impl Pool {
    fn in_box(&self) -> &str {
        let host = self.world.hosts.values().next();
        host.map_or("", |host| host.claude.in_box.as_str())
    }

    /// Somebody types at the prompt of a session.
    fn half_type(&mut self, name: &str, text: &str) {
        let place = self.machine().hosted_at(self.names[name]).expect("loaded");
        let host = self.world.hosts.get_mut(&place).expect("alive");
        host.claude.in_box.push_str(text);
        let text = host.claude.in_box.clone();
        self.world.handle(Event::PendingInput { place, text });
    }

    fn follow(&mut self, name: &str, prompt: &str) {
        let (session, prompt) = (self.id(name), Arc::from(prompt));
        self.ask(Request::Followup { session, prompt });
    }

    fn init(&mut self) {
        let no_restore = false;
        let size = None;
        self.ask(Request::Init { size, no_restore });
    }

    pub(super) fn taken(&self, prompt: &str) -> usize {
        let lines = self.world.transcripts.values().flatten();
        let is_it = |line: &&Line| matches!(line, Line::Prompt(text) if text == prompt);
        lines.filter(is_it).count()
    }
}

#[test]
fn a_line_is_kept_whenever_it_is_typed() {
    // Before the delivery is on disk.
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500");
    pool.follow("a", "more");
    pool.half_type("a", HALF);
    pool.run(3000);
    assert_eq!((pool.in_box(), pool.taken("more")), (HALF, 1));
    // After the prompt was typed, and before anybody heard that it was taken.
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500");
    pool.world.faults.no_hooks = true;
    pool.follow("a", "more");
    pool.run(300);
    pool.half_type("a", HALF);
    pool.run(3000);
    pool.follow("a", "and more");
    pool.run(5000);
    assert_eq!((pool.in_box(), pool.taken("and more")), (HALF, 1));
    // A moment before its session leaves, and told of a moment after.
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500");
    let place = pool.machine().hosted_at(pool.names["a"]).expect("loaded");
    pool.play("start b");
    let text = HALF.to_owned();
    pool.world.handle(Event::PendingInput { place, text });
    pool.play("wait 4000, pin a, wait 3000");
    assert_eq!(pool.in_box(), HALF);
    // In a claude that dies.
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500");
    pool.half_type("a", HALF);
    pool.play("crash a, wait 500, pin a, wait 6000");
    assert_eq!(pool.in_box(), HALF);
}

#[test]
fn a_line_is_on_disk_before_its_box_is_emptied() {
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500, half a");
    pool.follow("a", "more");
    let is_it = |action: &Action| matches!(action, Action::Type { typing: Typing::Prompt(text), .. } if **text == *"more");
    let end = pool.world.now.plus(super::world::ms(3000));
    while !pool.world.performed.iter().any(is_it) {
        assert!(pool.world.step(end), "it is typed");
    }
    let kept = pool.world.disk.sessions[&pool.names["a"]]
        .saved_input
        .clone();
    assert_eq!(kept.as_deref(), Some(HALF));
    // So that a daemon that is killed now leaves it to the next one.
    pool.world.kill_daemon();
    pool.run(1000);
    pool.world.start_daemon();
    pool.init();
    pool.run(5000);
    assert_eq!((pool.in_box(), pool.taken("more")), (HALF, 1));
}

#[test]
fn of_two_lines_none_is_lost() {
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500, half a");
    pool.follow("a", "more");
    pool.run(600);
    assert_eq!(pool.in_box(), "");
    pool.half_type("a", "a second one");
    pool.run(3000);
    // The first waits for its turn.
    assert_eq!(pool.in_box(), "a second one");
    pool.follow("a", "and more");
    pool.run(3000);
    assert_eq!(pool.in_box(), format!("{HALF}\na second one"));
}

#[test]
fn a_long_prompt_has_the_time_that_it_takes() {
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500");
    let long = "x".repeat(1_000_000);
    pool.follow("a", &long);
    // As measured, it takes more than a minute.
    pool.run(80_000);
    assert_eq!((pool.shown().as_str(), pool.taken(&long)), ("a idle", 1));
}

#[test]
fn a_new_daemon_gives_numbers_that_the_one_before_has_not_given() {
    // Numbers that are on disk, or done.
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500, restart");
    pool.init();
    pool.play("wait 1500, follow a, wait 3000");
    assert_eq!((pool.shown().as_str(), pool.taken("more a")), ("a idle", 1));
    // And one that is on its way to a host that is slow.
    let mut pool = Pool::new(1);
    pool.play("start a, wait 600, stop a");
    let is_it = |what: &&Happening| matches!(what, Happening::Command(_, _, Typing::Interrupt));
    let end = pool.world.now.plus(super::world::ms(3000));
    while !pool.world.what.values().any(|what| is_it(&what)) {
        assert!(pool.world.step(end), "it is interrupted");
    }
    let found = pool.world.what.iter().find(|(_, what)| is_it(what));
    let number = *found.expect("on its way").0;
    let late = pool.world.what.remove(&number).expect("on its way");
    pool.world.kill_daemon();
    pool.run(2500);
    pool.world.start_daemon();
    pool.init();
    pool.run(1500);
    pool.world.after(0, late);
    pool.run(100);
    pool.follow("a", "more");
    pool.run(3000);
    assert_eq!((pool.shown().as_str(), pool.taken("more")), ("a idle", 1));
}

#[test]
fn a_daemon_that_waits_for_its_init_sleeps() {
    let mut pool = Pool::new(1);
    pool.play("start a, wait 2500, pin a");
    pool.world.kill_daemon();
    pool.world.start_daemon();
    // The pin has run out meanwhile.
    pool.run(120_000);
    let next = pool.machine().next_deadline();
    assert!(next.is_none_or(|at| at > pool.world.now), "{next:?}");
}
