//! Many threads and many processes at once: nothing is lost, nothing is torn, numbers are given once.

use super::*;

const HOME: &str = "CCP_TEST_STORE_HOME";
const ROUNDS: &str = "CCP_TEST_STORE_ROUNDS";

/// Reads a number, adds one, writes it: a lost update shows in the sum.
fn count_up(store: &mut Store) {
    store
        .change(|t| {
            let now: i64 = t.query_row(
                "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'n'",
                [],
                |r| r.get(0),
            )?;
            t.execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('n', ?1)",
                [(now + 1).to_string()],
            )?;
            Ok(())
        })
        .expect("counts");
}

fn counted(store: &Store) -> i64 {
    store
        .read(|c| {
            c.query_row(
                "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'n'",
                [],
                |r| r.get(0),
            )
        })
        .expect("reads")
}

/// What a writer does in one round: something in every kind of table.
fn work(store: &mut Store, tag: u32, round: u32) {
    count_up(store);
    let at = i64::from(round);
    let event = Event {
        at: minute(at),
        account: None,
        kind: "k".into(),
        text: format!("{tag} {round}"),
    };
    match round % 4 {
        0 => store.add_event(&event, minute(at)).expect("adds"),
        1 => drop(
            store
                .offer_sample(id(1), &sample(at, 5.0, Source::Live), minute(at))
                .expect("offers"),
        ),
        2 => store
            .note_activity(Path::new("/w"), id(1), minute(at))
            .expect("notes"),
        _ => drop(store.picture(minute(at)).expect("reads")),
    }
}

#[test]
fn eight_threads_lose_nothing() {
    let (_dir, store) = with_accounts(&["a"]);
    let home = store.home().clone();
    std::thread::scope(|scope| {
        for tag in 0..8 {
            let home = &home;
            scope.spawn(move || {
                let mut store = Store::open(home).expect("opens");
                for round in 0..200 {
                    work(&mut store, tag, round);
                }
            });
        }
    });
    assert_eq!(counted(&store), 1600);
    let texts: BTreeSet<String> = store
        .events(9999)
        .expect("lists")
        .into_iter()
        .map(|e| e.text)
        .collect();
    assert_eq!(texts.len(), 400, "every event is there once");
    store.check_integrity().expect("is whole");
}

#[test]
fn many_that_open_a_new_home_at_once_make_one_database() {
    let (_dir, home) = home();
    let barrier = std::sync::Barrier::new(10);
    let ids = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                barrier.wait();
                let mut store = Store::open(&home).expect("opens");
                let added = store.insert_smallest_free(LabelWish::Like("x"), |_| false, NOW);
                ids.lock()
                    .expect("nobody died")
                    .push(added.expect("adds").id.number());
            });
        }
    });
    let mut ids = ids.into_inner().expect("nobody died");
    ids.sort_unstable();
    assert_eq!(ids, (1..=10).collect::<Vec<u16>>());
    let store = Store::open(&home).expect("opens");
    let labels: BTreeSet<String> = labels(&store).into_iter().map(|(_, l)| l).collect();
    assert_eq!(labels.len(), 10, "and labels once");
}

/// The other process of the tests below; does nothing in an ordinary run.
#[test]
fn a_process_of_its_own() {
    let (Some(home), Some(rounds)) = (std::env::var_os(HOME), std::env::var_os(ROUNDS)) else {
        return;
    };
    let home = Home::new(Path::new(&home)).expect("absolute");
    let rounds: u32 = rounds
        .to_str()
        .and_then(|r| r.parse().ok())
        .expect("a number");
    let mut store = Store::open(&home).expect("opens");
    store
        .insert_smallest_free(LabelWish::Like("p"), |_| false, NOW)
        .expect("adds");
    for round in 0..rounds {
        work(&mut store, std::process::id(), round);
    }
}

/// Ends the process with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn process(home: &Home, rounds: u32) -> Process {
    let name = "adapters::store::tests::concurrent::a_process_of_its_own";
    let child = Command::new(std::env::current_exe().expect("runs"))
        .args(["--exact", name, "--nocapture"])
        .env(HOME, home.path())
        .env(ROUNDS, rounds.to_string())
        .stdout(std::process::Stdio::null())
        .spawn();
    Process(child.expect("starts"))
}

#[test]
fn processes_lose_nothing_and_one_that_is_killed_leaves_nothing_half_done() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let home = store.home().clone();
    count_up(&mut store);
    let mut victim = process(&home, 1_000_000);
    let mut workers: Vec<Process> = (0..4).map(|_| process(&home, 100)).collect();
    for worker in &mut workers {
        assert!(worker.0.wait().expect("ends").success());
    }
    victim.0.kill().expect("is killed in the middle");
    victim.0.wait().expect("ends");
    store.check_integrity().expect("is whole");
    let total = counted(&store);
    let of_victim: i64 = total - 1 - 4 * 100;
    assert!(of_victim >= 0, "{total}");
    count_up(&mut store);
    assert_eq!(counted(&store), total + 1, "and nobody holds a lock");
    let ids: BTreeSet<u16> = labels(&store).into_iter().map(|(n, _)| n).collect();
    assert!(ids.len() >= 5, "{ids:?}");
    let mut opened = Store::open(&home).expect("opens");
    count_up(&mut opened);
}
