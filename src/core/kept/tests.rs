use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).plus(Duration::from_secs(seconds))
}

/// Plays a story: one word an event, at the second before it; returns what was done, one word an action.
fn play(story: &str) -> String {
    let mut kept: Kept<u32> = Kept::default();
    let mut told = Vec::new();
    let mut now = 0;
    for word in story.split_whitespace() {
        let pool = "p".to_owned();
        let event = match word {
            "runs" => Event::Saw(pool, Sight::Runs),
            "absent" => Event::Saw(pool, Sight::Absent),
            "destroyed" => Event::Saw(pool, Sight::Ended),
            "good" => Event::Done(pool, Outcome::Runs),
            "bad" => Event::Done(pool, Outcome::Failed("x".to_owned())),
            "foreign" => Event::Done(pool, Outcome::NotOurs("y".to_owned())),
            "none" => Event::Wanted(BTreeMap::new()),
            _ => {
                if let Some(table) = word.strip_prefix("table=") {
                    let table = table.parse().expect("a number");
                    Event::Wanted(BTreeMap::from([(pool, table)]))
                } else {
                    now = word.parse().expect("a second");
                    continue;
                }
            }
        };
        for action in kept.handle(event, at(now)) {
            told.push(match action {
                Action::Keep(_) => "keep".to_owned(),
                Action::Say(_, Fact::Rests(until)) => {
                    format!("rests+{}", until.since(at(now)).as_secs())
                }
                Action::Say(_, fact) => format!("{fact:?}").to_lowercase(),
            });
        }
    }
    told.join(" ")
}

#[track_caller]
fn check(story: &str, expected: &str) {
    assert_eq!(play(story), expected, "{story}");
}

#[test]
fn a_pool_is_begun_told_and_let_go() {
    check("table=1 absent good runs runs", "keep kept");
    // One that runs already is told what its table says.
    check("table=1 runs good runs", "keep kept");
    // However it ended before: the table says that it runs.
    check("table=1 destroyed good", "keep kept");
    check("table=1 absent good table=1 runs", "keep kept");
    check(
        "table=1 absent good table=2 runs good",
        "keep kept keep kept",
    );
    // A change meanwhile is not lost.
    check(
        "table=1 absent table=2 runs good runs good runs",
        "keep kept keep kept",
    );
    check("table=1 absent good none absent runs", "keep kept released");
    check("absent runs good", "");
    // What came too late is about a pool that was forgotten.
    check("table=1 absent none good", "keep released");
}

#[test]
fn one_that_died_is_begun_again_and_one_that_a_person_ended_is_not() {
    check(
        "table=1 absent good 5 absent good",
        "keep kept died keep kept",
    );
    check(
        "table=1 absent good destroyed 9 destroyed",
        "keep kept ended",
    );
    // It begins again by somebody's hand, and is kept again, with what its table says.
    check(
        "table=1 absent good destroyed runs good runs absent good",
        "keep kept ended keep kept died keep kept",
    );
    // That it was begun and died again between two looks is seen by the missing mark.
    check(
        "table=1 absent good destroyed absent good",
        "keep kept ended keep kept",
    );
    check(
        "table=1 absent bad 9 destroyed 99 destroyed",
        "keep failed(\"x\") ended",
    );
    // A new table does not bring it back, but the person does.
    check(
        "table=1 absent good destroyed table=2 destroyed",
        "keep kept ended",
    );
}

#[test]
fn one_that_dies_again_and_again_rests() {
    let five = "1 absent good 2 absent good 3 absent good 4 absent good 5 absent good";
    let kept = "keep kept died keep kept died keep kept died keep kept died keep kept";
    check(
        &format!("table=1 {five} 6 absent 300 absent 306 absent good"),
        &format!("{kept} died rests+300 keep kept"),
    );
    // Five in a minute are too many, five in two minutes are not.
    let slow =
        "0 absent good 20 absent good 40 absent good 60 absent good 80 absent good 100 absent good";
    check(
        &format!("table=1 {slow}"),
        &format!("{kept} died keep kept"),
    );
    // A new table is worth a try.
    check(
        &format!("table=1 {five} 6 absent table=2 7 absent good"),
        &format!("{kept} died rests+300 keep kept"),
    );
}

#[test]
fn one_that_does_not_begin_is_tried_again_after_a_while() {
    check(
        "table=1 absent bad 1 absent 2 absent good",
        "keep failed(\"x\") keep kept",
    );
    // It is said once.
    check(
        "table=1 absent bad 2 runs bad 4 runs bad 6 runs bad 8 runs bad 10 runs",
        "keep failed(\"x\") keep keep keep keep rests+300",
    );
    check(
        "table=1 absent foreign 30 absent 60 absent foreign 120 absent good",
        "keep notours(\"y\") keep keep kept",
    );
    check(
        "table=1 absent bad table=2 absent good",
        "keep failed(\"x\") keep kept",
    );
}

/// Whatever happens: one thing at a time for a pool, never more than five beginnings in a minute by ourselves, and nothing
/// for a pool that nobody wants.
#[test]
fn whatever_happens_a_pool_is_not_begun_too_often() {
    for seed in 1..400_u64 {
        let mut random = seed;
        let mut next = move |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % below
        };
        let (mut kept, mut now) = (Kept::<u64>::default(), 0);
        let (mut wanted, mut busy) = (false, false);
        let mut begun: Vec<u64> = Vec::new();
        for _ in 0..300 {
            now += next(4);
            let pool = "p".to_owned();
            let (choice, table) = (next(12), next(3));
            let event = match choice {
                0 if next(5) == 0 => {
                    (wanted, busy) = (false, false);
                    Event::Wanted(BTreeMap::new())
                }
                1 if next(8) == 0 => {
                    wanted = true;
                    begun.clear();
                    Event::Wanted(BTreeMap::from([(pool, table)]))
                }
                2..=4 => Event::Saw(pool, Sight::Runs),
                5..=7 => Event::Saw(pool, Sight::Absent),
                8 => Event::Saw(pool, Sight::Ended),
                _ if !busy => continue,
                9 => Event::Done(pool, Outcome::Runs),
                _ => Event::Done(pool, Outcome::Failed("x".to_owned())),
            };
            let ends = matches!(event, Event::Done(..));
            let told = matches!(event, Event::Saw(_, Sight::Runs));
            for action in kept.handle(event, at(now)) {
                if action != Action::Keep("p".to_owned()) {
                    continue;
                }
                assert!(wanted && !busy, "seed {seed} at {now}");
                busy = true;
                begun.retain(|then| now - then < 60);
                if !told {
                    begun.push(now);
                }
                assert!(begun.len() <= MOST, "seed {seed} at {now}: {begun:?}");
            }
            busy &= !ends;
            assert_eq!(kept.watched().count(), usize::from(wanted && !busy));
        }
    }
}
