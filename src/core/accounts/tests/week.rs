//! A week of six accounts, lived through in seconds.

use super::world::{MONDAY, Mood, World, hours, id, minutes, seconds};
use crate::core::account::AccountId;
use crate::core::accounts::action::Fact;
use crate::core::accounts::backoff;
use crate::core::accounts::event::{Event, LoginVerdict};
use crate::core::time::Timestamp;
use crate::core::usage::Source;
use std::collections::BTreeSet;

const ACCOUNTS: u16 = 6;
const DAYS: u64 = 7;

/// How somebody works: which accounts carry a session in this hour (0 to 23) of this day (0 is Monday).
type Habit = fn(day: u64, hour: u64) -> &'static [u16];

/// Four accounts around the clock, with three pauses.
fn heavy(_: u64, hour: u64) -> &'static [u16] {
    let rests = [6, 12, 18].contains(&hour);
    if rests { &[] } else { &[1, 2, 3, 4] }
}

/// Two accounts from nine to five, Monday to Friday.
fn office(day: u64, hour: u64) -> &'static [u16] {
    let works = day < 5 && (9..17).contains(&hour);
    if works { &[1, 2] } else { &[] }
}

/// An hour of one account in the evening, and nothing from Friday on.
fn evenings(day: u64, hour: u64) -> &'static [u16] {
    if day < 4 && hour == 20 { &[1] } else { &[] }
}

/// A pool of eight slots on four accounts, which are warm around the clock and work from nine to five, Monday to Friday.
fn pool(_: u64, _: u64) -> &'static [u16] {
    &[1, 2, 3, 4]
}

fn pool_works(day: u64, hour: u64) -> &'static [u16] {
    let works = day < 5 && (9..17).contains(&hour);
    if works { &[1, 2, 3, 4] } else { &[] }
}

fn silent(_: u64, _: u64) -> &'static [u16] {
    &[]
}

fn at(day: u64, hour: u64) -> Timestamp {
    MONDAY.plus(hours(day * 24 + hour))
}

/// Lives a week of that habit, hour by hour; `each_hour` may change the world. Sessions of accounts in `reports` report
/// each two minutes.
fn live(
    habit: Habit,
    reports: Habit,
    sources: &[Source],
    mut each_hour: impl FnMut(&mut World, u64, u64),
) -> World {
    let mut world = World::new(ACCOUNTS, sources, 42);
    let mut running: BTreeSet<u16> = BTreeSet::new();
    for hour in 0..DAYS * 24 {
        let (day, hour) = (hour / 24, hour % 24);
        let wanted: BTreeSet<u16> = habit(day, hour).iter().copied().collect();
        for account in running.difference(&wanted) {
            world.end_session(*account);
        }
        for account in wanted.difference(&running) {
            world.launch(*account);
        }
        running = wanted;
        each_hour(&mut world, day, hour);
        let end = at(day, hour + 1);
        let reporting: BTreeSet<u16> = reports(day, hour).iter().copied().collect();
        while !reporting.is_empty() && world.now < end {
            for account in reporting.intersection(&running) {
                world.report(*account);
            }
            world.run_until(world.now.plus(minutes(2)).min(end));
        }
        world.run_until(end);
    }
    world
}

/// Probes of one account on one day.
fn on_day(world: &World, account: u16, day: u64) -> usize {
    let (from, to) = (at(day, 0), at(day + 1, 0));
    let probes = world.probes.iter();
    probes
        .filter(|(when, whom, _)| *whom == id(account) && *when >= from && *when < to)
        .count()
}

fn print(name: &str, world: &World) {
    println!("\n{name}: probes per account and day");
    println!("           Mon   Tue   Wed   Thu   Fri   Sat   Sun   all");
    let mut all = 0;
    for account in 1..=ACCOUNTS {
        let days: Vec<usize> = (0..DAYS).map(|day| on_day(world, account, day)).collect();
        let sum: usize = days.iter().sum();
        let cells: String = days.iter().map(|n| format!("{n:6}")).collect();
        println!("  acct-{account:02}{cells}{sum:6}");
        all += sum;
    }
    let per_day = all as f64 / DAYS as f64;
    println!(
        "  {all} in the week, {:.0} s of processor a day",
        per_day * 0.5
    );
}

/// A row of the table in `docs/polling.md`: the median day of the first account and of the last one, and the week.
fn is_documented(name: &str, world: &World) {
    let usual = |account| {
        let mut days: Vec<usize> = (0..DAYS).map(|day| on_day(world, account, day)).collect();
        days.sort_unstable();
        days[days.len() / 2]
    };
    let all = world.probes.len();
    let seconds = all as f64 / DAYS as f64 * 0.5;
    let thousands = format!("{},{:03}", all / 1000, all % 1000);
    let document = include_str!("../../../../docs/polling.md");
    let row = document
        .lines()
        .find(|line| line.starts_with(&format!("| {name} |")));
    let row = row.unwrap_or_else(|| panic!("no row `{name}`"));
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let is_about = |cell: &str, probes: usize| {
        let text = cell.split(',').next().unwrap_or_default();
        let documented: usize = text.trim().parse().expect("a number");
        assert!(documented.abs_diff(probes) <= 1, "{probes} in {row}");
    };
    is_about(cells[2], usual(1));
    is_about(cells[3], usual(ACCOUNTS));
    assert_eq!(cells[4], thousands, "{row}");
    if cells[5] != "none" {
        assert_eq!(cells[5], format!("{seconds:.0} s"), "{row}");
    }
}

/// No account is probed more often than each three minutes on average, or idle ones more often than their cadence and
/// resets call for.
fn check_day(world: &World, account: u16, day: u64, least: usize, most: usize) {
    let found = on_day(world, account, day);
    assert!(
        (least..=most).contains(&found),
        "account {account}, day {day}: {found} is not in {least}..={most}"
    );
}

#[test]
fn proof_of_probes_per_account_and_day_in_three_habits() {
    let sources = [Source::Live, Source::Claude];
    let calm = |_: &mut World, _: u64, _: u64| {};

    let world = live(heavy, heavy, &sources, calm);
    print("heavy, sessions report", &world);
    is_documented("four around the clock, sessions report", &world);
    for day in 0..DAYS {
        for account in 1..=ACCOUNTS {
            check_day(&world, account, day, 85, 110);
        }
    }
    let world = live(heavy, silent, &sources, calm);
    print("heavy, sessions are silent", &world);
    is_documented("the same, sessions are silent", &world);
    for day in 0..DAYS {
        check_day(&world, 1, day, 385, 480);
        check_day(&world, 6, day, 85, 100);
    }

    let world = live(office, office, &sources, calm);
    print("office hours, sessions report", &world);
    is_documented("two in office hours, sessions report", &world);
    // From 9:00, when somebody launches, to twelve hours after the sessions ended at 17:00.
    check_day(&world, 1, 2, 78, 90);
    check_day(&world, 6, 2, 76, 84);
    check_day(&world, 6, 6, 0, 0);

    let world = live(evenings, evenings, &sources, calm);
    print("evenings, weekend idle", &world);
    is_documented("an hour in the evening, idle from Friday on", &world);
    check_day(&world, 1, 1, 50, 60);
    check_day(&world, 6, 5, 0, 0);
    check_day(&world, 6, 6, 0, 0);

    let world = live(office, office, &[Source::Live, Source::Oauth], calm);
    print("office hours, asked directly", &world);
    is_documented("two in office hours, asked directly", &world);
    check_day(&world, 6, 2, 350, 400);
}

/// What the reports of a pool's slots are worth.
#[test]
fn proof_of_probes_that_a_pool_saves() {
    let day_of_the_pool = |world: &mut World, day: u64, hour: u64| {
        let works = !pool_works(day, hour).is_empty();
        for truth in world.truth.values_mut() {
            truth.burn = if works { 12.0 } else { 0.0 };
        }
        // The day begins with a launch in a terminal.
        if day < 5 && hour == 9 {
            world.launch(5);
            world.end_session(5);
        }
    };
    let sources = [Source::Live, Source::Claude];
    let quiet = live(pool, silent, &sources, day_of_the_pool);
    print("a pool on four accounts, slots are silent", &quiet);
    is_documented("the same pool, slots are silent", &quiet);
    let told = live(pool, pool_works, &sources, day_of_the_pool);
    print("a pool on four accounts, slots report", &told);
    is_documented("a warm pool on four, in office hours, slots report", &told);
    let wednesday = |world: &World| -> usize {
        let accounts = 1..=ACCOUNTS;
        accounts.map(|account| on_day(world, account, 2)).sum()
    };
    let (before, after) = (wednesday(&quiet), wednesday(&told));
    let sentence =
        format!("A working day of that pool takes {after} questions in place of {before}");
    let document = include_str!("../../../../docs/polling.md");
    assert!(document.contains(&sentence), "{sentence}");
    // Slots that rest are asked about no more often than accounts without any.
    for day in [1, 2, 3] {
        assert!(on_day(&told, 1, day) <= on_day(&told, ACCOUNTS, day) + 5);
    }
}

#[test]
fn every_reset_is_noticed_within_a_minute() {
    for (name, reports) in [("reporting", heavy as Habit), ("silent", silent)] {
        let world = live(
            heavy,
            reports,
            &[Source::Live, Source::Claude],
            |_, _, _| {},
        );
        assert!(world.resets.len() > 4 * 30, "{} resets", world.resets.len());
        for (reset, account) in &world.resets {
            let later = |(at, whom): &&(Timestamp, AccountId)| whom == account && at >= reset;
            let noticed = world.measured.iter().find(later);
            let lag = noticed.map(|(at, _)| at.since(*reset));
            let end = world.now.since(*reset) < minutes(1);
            assert!(
                end || lag.is_some_and(|lag| lag <= minutes(1)),
                "{name}: {account} at {reset:?} after {lag:?}"
            );
        }
    }
}

#[test]
fn a_week_with_everything_that_goes_wrong() {
    let five = id(5);
    let world = live(
        heavy,
        heavy,
        &[Source::Live, Source::Claude],
        |world, day, hour| {
            let truth = |world: &mut World, login| {
                world.truth.get_mut(&five).expect("five").login = login;
            };
            match (day, hour) {
                (1, 10) => world.mood = Mood::Throttling(None),
                (1, 13) => world.mood = Mood::Fine,
                (2, 12) => world.mood = Mood::Gone,
                (2, 14) => world.mood = Mood::Fine,
                (3, 9) => truth(world, LoginVerdict::LoggedOut),
                (3, 15) => truth(world, LoginVerdict::LoggedIn),
                (4, 3) => truth(world, LoginVerdict::Unknown),
                (4, 8) => truth(world, LoginVerdict::LoggedIn),
                (5, 7) => world.tell(Event::Saver { on: true }),
                (5, 18) => world.tell(Event::Saver { on: false }),
                _ => {}
            }
        },
    );
    print("a bad week", &world);
    let during = |from: Timestamp, to: Timestamp| {
        let probes = world.probes.iter();
        probes.filter(move |(when, ..)| *when >= from && *when < to)
    };

    // Three hours of throttling: 3, 6, 12, 24, 30, 30, 30 minutes apart, for everybody.
    let throttled: Vec<Timestamp> = during(at(1, 10), at(1, 13))
        .map(|(when, ..)| *when)
        .collect();
    let waits: Vec<u64> = throttled
        .windows(2)
        .map(|p| p[1].since(p[0]).as_secs() / 60)
        .collect();
    assert_eq!(waits, [3, 6, 12, 24, 30, 30, 30, 30]);
    let resumed = during(at(1, 13), at(1, 14)).next().expect("asked again").0;
    assert!(resumed.since(at(1, 13)) <= backoff::LONGEST);

    // Two hours of outage: one account each 20 s or so, in turn; then all at once.
    let began = world
        .facts
        .iter()
        .find(|(_, f)| *f == Fact::OutageBegan)
        .expect("noticed")
        .0;
    let ended = world
        .facts
        .iter()
        .find(|(_, f)| matches!(f, Fact::OutageEnded { .. }))
        .expect("over")
        .0;
    assert!(
        began.since(at(2, 12)) < minutes(16),
        "{:?}",
        began.since(at(2, 12))
    );
    assert!(ended.since(at(2, 14)) < seconds(27));
    let gentle = during(began, at(2, 14)).count() as u64;
    let lasted = at(2, 14).since(began).as_secs();
    assert!(
        (lasted / 26..=lasted / 15 + 1).contains(&gentle),
        "{gentle}"
    );
    let swept: BTreeSet<u16> = during(ended, ended.plus(seconds(20)))
        .map(|(_, whom, _)| whom.number())
        .collect();
    assert!(swept.len() >= 5, "{swept:?}");

    // A login that dies on Thursday at 9 and is back at 15; one night with a locked Keychain is nothing.
    let story: Vec<(u16, bool)> = world
        .needs_login
        .iter()
        .map(|(_, a, n)| (a.number(), *n))
        .collect();
    assert_eq!(story, [(5, true), (5, false)]);
    let (died, revived) = (world.needs_login[0].0, world.needs_login[1].0);
    assert!(
        died.since(at(3, 9)) < minutes(18),
        "{:?}",
        died.since(at(3, 9))
    );
    assert!(revived.since(at(3, 15)) < minutes(16));
    assert_eq!(
        during(died, revived)
            .filter(|(_, whom, _)| *whom == five)
            .count(),
        0
    );

    // Battery saver: the one round that the launch after lunch is worth.
    let saved: Vec<u16> = during(at(5, 7).plus(seconds(1)), at(5, 18))
        .map(|(_, whom, _)| whom.number())
        .collect();
    assert_eq!(saved.len(), usize::from(ACCOUNTS), "{saved:?}");
}
