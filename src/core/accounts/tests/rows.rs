//! One decision each.

use super::world::{Mood, World, hours, id, minutes, seconds};
use crate::core::accounts::action::{Action, Fact, Problem, Refreshed, Reply};
use crate::core::accounts::event::{
    Event, KnownAccount, LoginVerdict, ProbeOutcome, Ticket, Which,
};
use crate::core::accounts::machine::Machine;
use crate::core::accounts::{backoff, refresh, schedule};
use crate::core::time::Timestamp;
use crate::core::usage::Source;

fn between(found: i64, least: i64, most: i64) {
    assert!(
        (least..=most).contains(&found),
        "{found} is not in {least}..={most}"
    );
}

#[test]
fn a_new_roster_is_swept_once_two_seconds_apart() {
    let mut world = World::new(4, &[Source::Live, Source::Claude], 1);
    let start = world.now;
    world.run(minutes(10));
    let times: Vec<i64> = world
        .probes
        .iter()
        .map(|(at, ..)| at.ms_since(start))
        .collect();
    assert_eq!(times, [0, 2000, 4000, 6000]);
    let sweeps: Vec<_> = world
        .publications
        .iter()
        .filter(|(_, sweep)| *sweep)
        .collect();
    assert_eq!(
        sweeps.len(),
        1,
        "published as one: {:?}",
        world.publications
    );
    assert_eq!(world.kept, 4);
    assert_eq!(world.cadences[&id(1)], schedule::IDLE);
}

#[test]
fn idle_accounts_are_asked_each_quarter_of_an_hour() {
    let mut world = World::settled(3);
    world.run(hours(8));
    for account in 1..=3 {
        between(
            world.probed(account, world.now.minus(hours(8))).len() as i64,
            30,
            33,
        );
    }
}

#[test]
fn busy_accounts_are_asked_each_three_minutes_unless_they_report() {
    let mut world = World::settled(2);
    world.run(minutes(10));
    world.forget();
    let start = world.now;
    world.launch(1);
    world.run(hours(1));
    between(world.probed(1, start).len() as i64, 17, 20);
    between(world.probed(1, start)[0], 0, 1);
    assert_eq!(world.cadences[&id(1)], schedule::BUSY);
    assert_eq!(world.cadences[&id(2)], schedule::IDLE);

    let start = world.now;
    for _ in 0..60 {
        world.report(1);
        world.run(minutes(1));
    }
    between(world.probed(1, start).len() as i64, 3, 5);
}

#[test]
fn sessions_that_report_and_rest_are_asked_about_like_none() {
    let mut world = World::settled(1);
    world.launch(1);
    world.run(minutes(1));
    world.report(1);
    world.truth.get_mut(&id(1)).expect("one").burn = 0.0;
    world.run(minutes(5));
    assert_eq!(
        world.cadences[&id(1)],
        schedule::IDLE,
        "they were asked about once more"
    );
    let start = world.now;
    world.run(hours(1));
    between(world.probed(1, start).len() as i64, 3, 5);
    // One that does not report is noticed, and so is a new session.
    world.truth.get_mut(&id(1)).expect("one").burn = 30.0;
    world.run(minutes(20));
    assert_eq!(world.cadences[&id(1)], schedule::BUSY);
    world.truth.get_mut(&id(1)).expect("one").burn = 0.0;
    world.run(minutes(20));
    assert_eq!(world.cadences[&id(1)], schedule::IDLE);
    world.launch(1);
    world.run(seconds(5));
    assert_eq!(world.cadences[&id(1)], schedule::BUSY);
}

#[test]
fn a_faster_cadence_is_told_with_the_numbers_that_keep_up_with_it() {
    let mut world = World::settled(1);
    world.run(minutes(10));
    world.launch(1);
    assert_eq!(
        world.cadences[&id(1)],
        schedule::IDLE,
        "the numbers are ten minutes old"
    );
    world.run(seconds(2));
    assert_eq!(world.cadences[&id(1)], schedule::BUSY);
    world.end_session(1);
    assert_eq!(world.cadences[&id(1)], schedule::IDLE, "at once");
}

#[test]
fn a_reset_is_looked_at_within_a_minute() {
    let mut world = World::settled(1);
    world.launch(1);
    world.run(hours(1));
    world.end_session(1);
    world.run(hours(3).saturating_add(minutes(50)));
    world.forget();
    world.run(minutes(20));
    let (reset, _) = world.resets[0];
    between(world.probed(1, reset)[0], 10, 60);
}

#[test]
fn nobody_is_asked_when_nobody_works() {
    let mut world = World::settled(3);
    world.run(hours(12));
    world.forget();
    world.run(hours(36));
    assert_eq!(world.asked(), [0_u16; 0]);
    world.launch(2);
    world.run(minutes(1));
    assert_eq!(
        world.asked(),
        [2, 1, 3],
        "on demand, at the next launch, where it counts first"
    );
    let told: Vec<bool> = world
        .paused
        .iter()
        .map(|(_, since)| since.is_some())
        .collect();
    assert_eq!(told, [false], "it ended");
}

#[test]
fn battery_saver_leaves_one_round_per_launch() {
    let mut world = World::settled(3);
    world.tell(Event::Saver { on: true });
    assert!(
        world
            .paused
            .last()
            .is_some_and(|(_, since)| since.is_some())
    );
    world.run(hours(2));
    assert_eq!(world.asked(), [0_u16; 0]);
    world.launch(1);
    world.run(minutes(10));
    assert_eq!(world.asked(), [1, 2, 3]);
    world.launch(1);
    world.run(hours(3));
    assert_eq!(world.asked(), [1, 2, 3], "their numbers are of minutes ago");
    world.tell(Event::Saver { on: false });
    world.run(minutes(1));
    assert_eq!(world.asked(), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_login_that_nothing_used_for_five_days_is_used_once() {
    let mut world = World::settled(2);
    world.run(hours(24));
    world.forget();
    world.run(hours(24 * 11));
    let mut asked = world.asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 1, 2, 2], "in eleven days");
}

#[test]
fn throttling_backs_off_for_everybody() {
    let mut world = World::new(4, &[Source::Oauth], 1);
    world.run(minutes(1));
    world.forget();
    world.mood = Mood::Throttling(None);
    world.run(hours(3));
    assert!(
        world
            .probes
            .windows(2)
            .all(|pair| pair[1].0.since(pair[0].0) >= backoff::STEPS[0])
    );
    let waits: Vec<u32> = world
        .facts
        .iter()
        .filter_map(|(at, fact)| match fact {
            Fact::BackedOff { until, .. } => Some(until.since(*at).as_secs() as u32 / 60),
            _ => None,
        })
        .collect();
    assert_eq!(waits[..5], [3, 6, 12, 24, 30]);
    world.mood = Mood::Fine;
    world.forget();
    world.run(minutes(31));
    assert!(world.has_fact(|f| *f == Fact::BackOffEnded));
    for account in 1..=4 {
        assert!(
            !world
                .probed(account, world.now.minus(minutes(31)))
                .is_empty()
        );
    }
}

#[test]
fn retry_after_is_honoured_within_reason() {
    for (asked, expected) in [(Some(0), 180), (Some(600), 600), (Some(999_999), 1800)] {
        let mut world = World::new(1, &[Source::Oauth], 1);
        world.run(minutes(1));
        world.forget();
        world.mood = Mood::Throttling(asked);
        world.run(hours(1));
        let wait = world.probes[1].0.since(world.probes[0].0);
        assert_eq!(wait.as_secs(), expected, "{asked:?}");
    }
}

#[test]
fn direct_asking_keeps_its_fixed_pace() {
    let mut world = World::new(3, &[Source::Live, Source::Oauth], 1);
    world.launch(1);
    world.run(hours(2));
    let second = world.probed(2, world.now.minus(hours(2)));
    let first = world.probed(1, world.now.minus(hours(2)));
    assert!(
        first
            .windows(2)
            .all(|pair| (180..=211).contains(&(pair[1] - pair[0]))),
        "{first:?}"
    );
    let apart: Vec<i64> = first.iter().zip(&second).map(|(a, b)| b - a).collect();
    assert!(apart.iter().all(|s| *s == 2), "{apart:?}");
    assert_eq!(world.cadences[&id(2)], schedule::OAUTH);
}

#[test]
fn an_outage_is_probed_gently_and_its_end_is_a_sweep() {
    let mut world = World::new(6, &[Source::Oauth], 1);
    world.run(minutes(2));
    world.forget();
    world.mood = Mood::Gone;
    world.run(minutes(5));
    assert_eq!(
        world.asked()[..3],
        [1, 2, 3],
        "three failures end the sweep"
    );
    assert!(world.has_fact(|f| *f == Fact::OutageBegan));
    let retries: Vec<i64> = world.probes[2..]
        .windows(2)
        .map(|pair| pair[1].0.ms_since(pair[0].0) / 1000)
        .collect();
    assert!(retries.iter().all(|s| (15..=26).contains(s)), "{retries:?}");
    assert!(world.asked()[3..].starts_with(&[4, 5, 6, 1]), "in turn");
    assert_eq!(
        world
            .publications
            .iter()
            .filter(|(_, sweep)| *sweep)
            .count(),
        1,
        "asking into an outage is no sweep to publish"
    );

    world.forget();
    world.mood = Mood::Fine;
    world.run(minutes(1));
    let mut asked = world.asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4, 5, 6], "all, at the first answer");
    assert!(world.has_fact(|f| matches!(f, Fact::OutageEnded { .. })));
}

#[test]
fn one_account_that_is_not_reached_is_no_outage() {
    let mut world = World::settled(4);
    world.truth.get_mut(&id(2)).expect("two").unreachable = true;
    world.run(hours(4));
    assert!(!world.has_fact(|f| *f == Fact::OutageBegan));
    assert!(world.probes.len() < 4 * 16 + 4, "{}", world.probes.len());
}

#[test]
fn silence_backs_off_account_by_account_and_the_first_answer_releases_all() {
    let mut world = World::settled(4);
    world.mood = Mood::Mute;
    world.run(hours(6));
    assert!(world.probes.len() < 4 * 16 + 8, "{}", world.probes.len());
    world.mood = Mood::Fine;
    world.forget();
    world.tell(Event::Woke);
    world.run(minutes(1));
    let mut asked = world.asked();
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4]);
}

#[test]
fn a_login_is_dead_when_claude_says_so_twice() {
    let mut world = World::settled(2);
    world.truth.get_mut(&id(1)).expect("one").login = LoginVerdict::LoggedOut;
    world.run(minutes(30));
    let (died, account, needs) = world.needs_login[0];
    assert_eq!((account, needs, world.needs_login.len()), (id(1), true, 1));
    let first = world.looks[0].0;
    between(died.ms_since(first) / 1000, 60, 63);
    assert!(
        world.probed(1, died).is_empty(),
        "no probe while it is dead"
    );

    world.forget();
    world.run(hours(2));
    between(world.looks.len() as i64, 7, 8);
    world.truth.get_mut(&id(1)).expect("one").login = LoginVerdict::LoggedIn;
    world.run(minutes(16));
    assert_eq!(
        world.needs_login.last().map(|(_, a, n)| (*a, *n)),
        Some((id(1), false))
    );
    assert!(
        !world.probed(1, world.now.minus(minutes(16))).is_empty(),
        "asked at once"
    );
}

#[test]
fn a_locked_store_is_no_evidence() {
    let mut world = World::settled(1);
    world.truth.get_mut(&id(1)).expect("one").login = LoginVerdict::Unknown;
    world.run(hours(6));
    assert_eq!(world.needs_login, []);
}

#[test]
fn a_sessions_failure_is_confirmed_first() {
    let mut world = World::settled(1);
    for _ in 0..20 {
        world.tell(Event::AuthenticationFailed { account: id(1) });
        world.run(seconds(2));
    }
    assert_eq!(world.looks.len(), 1, "claude is asked once a minute");
    assert_eq!(world.needs_login, []);
    assert!(world.probes.is_empty());
    world.truth.get_mut(&id(1)).expect("one").login = LoginVerdict::LoggedOut;
    world.run(minutes(1));
    world.tell(Event::AuthenticationFailed { account: id(1) });
    world.run(seconds(65));
    assert_eq!(world.needs_login.len(), 1);
}

#[test]
fn a_sign_in_clears_and_asks() {
    let mut world = World::settled(1);
    world.truth.get_mut(&id(1)).expect("one").login = LoginVerdict::LoggedOut;
    world.run(minutes(30));
    world.forget();
    world.truth.get_mut(&id(1)).expect("one").login = LoginVerdict::LoggedIn;
    world.tell(Event::SignedIn { account: id(1) });
    world.run(seconds(3));
    assert_eq!(world.needs_login.len(), 1);
    assert_eq!(world.asked(), [1]);
}

fn done(world: &World, ticket: Ticket) -> Vec<Refreshed> {
    let reply = world.replies.iter().find(|(_, t, _)| *t == ticket);
    match reply {
        Some((_, _, Reply::Done(accounts))) => accounts.iter().map(|(_, r)| r.clone()).collect(),
        other => panic!("no reply: {other:?}"),
    }
}

#[test]
fn a_client_is_answered_when_its_accounts_are_asked() {
    let mut world = World::settled(3);
    let all = world.refresh(Which::All);
    let one = world.refresh(Which::One(id(2)));
    let nobody = world.refresh(Which::One(id(9)));
    world.run(seconds(5));
    assert_eq!(done(&world, all), vec![Refreshed::Fresh; 3]);
    assert_eq!(done(&world, one), [Refreshed::Fresh]);
    assert_eq!(done(&world, nobody), [Refreshed::Unknown]);
    assert_eq!(
        world.asked(),
        [1, 2, 3],
        "nobody is asked twice for two clients"
    );
    let told = world
        .replies
        .iter()
        .map(|(at, ..)| *at)
        .max()
        .expect("replies");
    let took = told.since(world.probes[0].0);
    assert!(
        took < seconds(2),
        "one after the other without a wait: {took:?}"
    );
    assert!(world.publications.iter().any(|(at, _)| *at <= told));
}

#[test]
fn a_client_is_answered_whatever_stands_in_the_way() {
    let check =
        |name: &str, mood: Mood, sources: &[Source], expected: &dyn Fn(&Refreshed) -> bool| {
            let mut world = World::new(5, sources, 1);
            world.mood = mood;
            world.run(minutes(2));
            world.forget();
            let start = world.now;
            let ticket = world.refresh(Which::All);
            world.run(seconds(40));
            let found = done(&world, ticket);
            assert!(found.iter().any(expected), "{name}: {found:?}");
            assert_eq!(found.len(), 5, "{name}");
            let (at, ..) = world.replies[0];
            assert!(at.since(start) <= refresh::PATIENCE, "{name}");
        };
    let claude = [Source::Claude];
    check(
        "throttled",
        Mood::Throttling(None),
        &[Source::Oauth],
        &|r| matches!(r, Refreshed::BackingOff { .. }),
    );
    check("gone", Mood::Gone, &claude, &|r| {
        *r == Refreshed::Problem(Problem::Unreachable)
    });
    check("mute", Mood::Mute, &claude, &|r| {
        *r == Refreshed::Problem(Problem::NoNumbers)
    });
    check("swallowed", Mood::Swallowing, &claude, &|r| {
        *r == Refreshed::NotReached
    });
    check("nothing to ask", Mood::Fine, &[Source::Live], &|r| {
        *r == Refreshed::NotAsked
    });
}

#[test]
fn a_client_may_ask_in_a_pause_and_too_many_are_turned_away() {
    let mut world = World::settled(2);
    world.tell(Event::Saver { on: true });
    let ticket = world.refresh(Which::All);
    world.run(seconds(5));
    assert_eq!(done(&world, ticket), vec![Refreshed::Fresh; 2]);

    world.mood = Mood::Swallowing;
    for _ in 0..refresh::MAX_WAITING {
        world.refresh(Which::All);
    }
    let turned_away = world.refresh(Which::All);
    assert!(
        world
            .replies
            .contains(&(world.now, turned_away, Reply::Busy))
    );
}

#[test]
fn an_answer_that_never_comes_does_not_end_everything() {
    let mut world = World::settled(2);
    world.mood = Mood::Swallowing;
    world.run(minutes(20));
    assert!(world.has_fact(|f| matches!(f, Fact::AnswerLost { .. })));
    world.mood = Mood::Fine;
    world.run(minutes(20));
    let kept = world.kept;
    world.run(minutes(20));
    assert!(world.kept > kept);
}

#[test]
fn the_next_source_is_asked_when_one_has_no_answer() {
    let mut machine = Machine::new(&[Source::Live, Source::Oauth, Source::Claude], 1);
    let now = super::world::MONDAY;
    let asked = |actions: &[Action]| {
        actions.iter().find_map(|a| match a {
            Action::Probe { source, .. } => Some(*source),
            _ => None,
        })
    };
    let first = machine.handle(Event::AccountAdded(KnownAccount::new(id(1))), now);
    assert_eq!(asked(&first), Some(Source::Oauth));
    let expired = Event::Probed {
        account: id(1),
        source: Source::Oauth,
        outcome: ProbeOutcome::Failed {
            reason: "the access token has expired".to_owned(),
        },
    };
    assert_eq!(asked(&machine.handle(expired, now)), Some(Source::Claude));
    let unchanged = Event::Probed {
        account: id(1),
        source: Source::Claude,
        outcome: ProbeOutcome::Unchanged,
    };
    let last = machine.handle(unchanged, now);
    let answered = Action::SetProbed {
        account: id(1),
        problem: None,
    };
    assert!(last.contains(&answered), "{last:?}");
}

#[test]
fn changes_are_published_together_and_soon() {
    let mut world = World::settled(2);
    let start = world.now;
    world.launch(1);
    world.tell(Event::AccountChanged { account: id(2) });
    world.report(2);
    world.run(seconds(1));
    let first = world.publications[0].0.ms_since(start);
    between(first, 0, 250);
    assert!(world.publications.len() <= 2, "{:?}", world.publications);
}

#[test]
fn a_limit_is_kept_and_its_end_is_looked_at() {
    let mut world = World::settled(1);
    let until = world.now.plus(minutes(5));
    world.tell(Event::LimitReported {
        account: id(1),
        until: Some(until),
        reported_at: world.now,
    });
    world.run(minutes(7));
    between(world.probed(1, until)[0], 10, 60);
}

#[test]
fn a_restart_asks_nobody_who_was_asked_just_now() {
    let mut machine = Machine::new(&[Source::Claude], 1);
    let now = super::world::MONDAY;
    let known = |n, ago| KnownAccount {
        probed_at: Some(now.minus(minutes(ago))),
        ..KnownAccount::new(id(n))
    };
    let loaded = machine.handle(
        Event::Loaded {
            accounts: vec![known(1, 2), known(2, 60)],
            last_launch: Some(now),
            paused_since: None,
        },
        now,
    );
    let asked: Vec<u16> = loaded
        .iter()
        .filter_map(|a| match a {
            Action::Probe { account, .. } => Some(account.number()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [2]);
    let again: Option<Timestamp> = machine.next_deadline();
    assert!(again.is_some());
}
