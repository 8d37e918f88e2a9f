//! Clocks that jump by a day either way, and computers that sleep.

use super::world::{Mood, World, hours, id, minutes, seconds};
use crate::core::accounts::action::Fact;
use crate::core::accounts::event::{Event, Which};
use crate::core::usage::Source;

const DAY_MS: i64 = 86_400_000;

/// After a jump by `by_ms`: everybody is asked once, soon, 2 s apart, and then things are as they always were.
fn check(name: &str, by_ms: i64, sources: &[Source], regular_per_hour: usize) {
    let mut world = World::new(5, sources, 1);
    world.launch(1);
    world.run(hours(3));
    world.forget();
    world.move_clock(by_ms);
    world.tell(Event::Tick);
    let jumped = world.now;
    assert!(
        world.has_fact(|f| matches!(f, Fact::ClockJumped { .. })),
        "{name}"
    );
    world.run(minutes(1));
    let mut asked = world.asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4, 5], "{name}: one sweep");
    let first = world.probes[0].0.since(jumped);
    assert!(
        first >= seconds(5) && first <= seconds(16),
        "{name}: {first:?}"
    );
    assert!(
        world
            .probes
            .windows(2)
            .all(|p| p[1].0.since(p[0].0) >= seconds(2)),
        "{name}: no burst"
    );
    let before = world.kept;
    // Somebody works on, else a day without a launch is a pause.
    world.tell(Event::SessionStarted { account: id(1) });
    world.forget();
    world.run(hours(1));
    let found = world.probes.len();
    assert!(
        found >= regular_per_hour * 8 / 10 && found <= regular_per_hour * 12 / 10,
        "{name}: {found} in the hour after"
    );
    assert!(world.kept > before, "{name}: numbers are taken again");
    assert_eq!(world.needs_login, [], "{name}");
}

#[test]
fn a_moved_clock_costs_one_sweep() {
    let (claude, oauth) = ([Source::Claude], [Source::Oauth]);
    // One busy account each three minutes, four idle ones each quarter of an hour.
    check("a day ahead", DAY_MS, &claude, 34);
    check("a day back", -DAY_MS, &claude, 34);
    check("two hours ahead", DAY_MS / 12, &claude, 34);
    check("a day ahead, directly", DAY_MS, &oauth, 92);
    check("a day back, directly", -DAY_MS, &oauth, 92);
}

#[test]
fn waking_up_is_told_twice_and_counts_once() {
    let mut world = World::settled(4);
    world.launch(1);
    world.run(minutes(5));
    world.forget();
    world.now = world.now.plus(hours(6));
    world.tell(Event::Woke);
    world.tell(Event::Woke);
    world.run(minutes(1));
    world.tell(Event::Woke);
    assert_eq!(world.asked().len(), 4, "{:?}", world.probes);
}

#[test]
fn corrections_of_seconds_are_no_jump() {
    let mut world = World::settled(3);
    world.launch(1);
    for _ in 0..100 {
        world.run(seconds(97));
        world.move_clock(-3_000);
        world.tell(Event::Tick);
    }
    assert!(!world.has_fact(|f| matches!(f, Fact::ClockJumped { .. })));
}

#[test]
fn a_clock_set_back_does_not_lengthen_a_back_off_or_a_wait() {
    let mut world = World::new(3, &[Source::Oauth], 1);
    world.run(minutes(1));
    world.mood = Mood::Throttling(Some(1800));
    world.run(minutes(4));
    world.forget();
    world.move_clock(-DAY_MS);
    world.tell(Event::Tick);
    let jumped = world.now;
    world.mood = Mood::Fine;
    world.run(hours(1));
    let first = world.probes[0].0.since(jumped);
    assert!(first <= minutes(30), "{first:?}");
    assert!(first > minutes(20), "and it is kept: {first:?}");

    world.mood = Mood::Swallowing;
    world.run(minutes(5));
    let ticket = world.refresh(Which::One(id(2)));
    world.move_clock(-DAY_MS);
    world.tell(Event::Tick);
    world.run(minutes(1));
    assert!(world.replies.iter().any(|(_, t, _)| *t == ticket));
}

#[test]
fn a_jump_does_not_start_a_second_question() {
    // `World` refuses a second question while one is under way.
    for by_ms in [DAY_MS, -DAY_MS] {
        let mut world = World::settled(3);
        world.refresh(Which::All);
        world.move_clock(by_ms);
        world.tell(Event::Tick);
        world.run(minutes(2));
        assert_eq!(world.replies.len(), 1);
    }
}

#[test]
fn a_computer_that_wakes_at_night_asks_nobody_twice() {
    let mut world = World::settled(4);
    world.run(hours(1));
    world.forget();
    // Thirteen hours asleep, and then woken each two hours for a minute.
    world.now = world.now.plus(hours(13));
    world.tell(Event::Woke);
    world.run(minutes(1));
    assert_eq!(world.asked().len(), 4, "somebody is back");
    for _ in 0..10 {
        world.now = world.now.plus(hours(2));
        world.tell(Event::Woke);
        world.run(minutes(1));
    }
    assert_eq!(world.asked().len(), 4, "nobody was");
}
