//! `pools.json`: which pools there are, and `ccp pool pools`, which looks whether each is there.

use super::link::Link;
use super::show;
use super::stand::Stand;
use crate::adapters::files::{self, Lock, PRIVATE_FILE};
use crate::cli::failure::{Failure, Outcome};
use crate::contract::exit;
use crate::contract::pool::{Place, Pools, Reply, Request};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

/// The largest `pools.json` that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// How long the lock is waited for: it is held for far less than a millisecond.
const LOCK: Duration = Duration::from_secs(5);
/// How long a pool has for a ping.
const PING: Duration = Duration::from_secs(2);

/// Where the pool of the command listens: what `pools.json` says, else its usual socket.
pub fn place(stand: &Stand) -> Result<Place, Failure> {
    match load(stand)?.place(&stand.name) {
        None => Ok(Place::Here(stand.dir.socket())),
        Some(place) => place.map_err(|why| {
            let path = stand.home.pools();
            Failure::new(format!(
                "{}: the entry `{}` is wrong: {why}",
                path.display(),
                stand.name
            ))
        }),
    }
}

/// Puts the pool of the command into `pools.json`, under the lock.
pub fn register(stand: &Stand, socket: &Path) -> Result<(), Failure> {
    let path = stand.home.pools();
    let failed =
        |error: io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
    let lock = Lock::acquire(&stand.home.pools_lock(), LOCK).map_err(failed)?;
    let _lock = lock.ok_or_else(|| {
        let lock = stand.home.pools_lock();
        Failure::new(format!("{} is held by another process", lock.display()))
    })?;
    let mut pools = load(stand)?;
    if pools.put(&stand.name, socket) {
        files::replace(&path, pools.text().as_bytes(), PRIVATE_FILE).map_err(failed)?;
    }
    Ok(())
}

/// What the file says.
pub fn load(stand: &Stand) -> Result<Pools, Failure> {
    let path = stand.home.pools();
    let mut text = Vec::new();
    match File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pools::default()),
        Err(error) => {
            return Err(Failure::new(format!(
                "cannot read {}: {error}",
                path.display()
            )));
        }
    }
    Pools::parse(&text).map_err(|why| {
        Failure::new(format!("cannot read {}: {why}", path.display()))
            .hint("mend it, or move it away: `ccp pool init` writes a new one")
    })
}

/// A pool, and how it answered.
pub(super) struct Seen {
    pub name: String,
    pub place: String,
    /// The version it told, or why it told none.
    pub answer: Result<String, String>,
}

/// Runs `ccp pool pools`.
pub fn run(stand: &Stand) -> Outcome {
    let pools = load(stand)?;
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let asked: Vec<_> = pools
            .names()
            .map(|name| {
                let place = pools.place(name);
                scope.spawn(move || look(name, place))
            })
            .collect();
        // A thread that panicked has said so, and has no line.
        asked
            .into_iter()
            .filter_map(|asked| asked.join().ok())
            .collect()
    });
    if stand.json {
        let row = |seen: &Seen| {
            json!({
                "name": seen.name, "socket": seen.place, "running": seen.answer.is_ok(),
                "version": seen.answer.as_ref().ok(), "problem": seen.answer.as_ref().err(),
            })
        };
        let rows: Vec<_> = seen.iter().map(row).collect();
        println!("{}", json!({"type": "pools", "pools": rows}));
    } else if seen.is_empty() {
        eprintln!("no pools yet: `ccp pool init` makes one");
    } else {
        print!("{}", show::pools(&seen, stand.colour));
    }
    Ok(exit::OK)
}

fn look(name: &str, place: Option<Result<Place, String>>) -> Seen {
    let place = place.unwrap_or_else(|| Err("it has no entry".to_owned()));
    let answer = match &place {
        Err(why) => Err(why.clone()),
        Ok(place) => ping(place).map_err(|failure| failure.error),
    };
    Seen {
        name: name.to_owned(),
        place: place.map(|place| place.to_string()).unwrap_or_default(),
        answer,
    }
}

/// The version that the pool at this place tells; empty when it is another program's.
pub fn ping(place: &Place) -> Result<String, Failure> {
    let link = Link::to(place)?;
    let answer = link
        .connect()?
        .call(&Request::Ping, PING)
        .map_err(|error| link.failure(error))?;
    match answer.reply {
        Reply::Pong { version, .. } => Ok(version),
        _ => Err(Failure::new("it answers a ping with something else")),
    }
}
