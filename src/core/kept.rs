//! Which configured pools are to run, and what is to be done for that: begun when they do not run, told what changed, begun
//! again when they died, left alone when a person ended them. Knows neither processes nor what a table says.

use super::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// A pool is begun so many times at most …
const MOST: usize = 5;
/// … in so long; then it rests.
const WITHIN: Duration = Duration::from_secs(60);
/// How long it rests then.
const REST: Duration = Duration::from_secs(300);
/// Before one that could not begin is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// Before a pool that is not ours to begin is looked at again.
const LEFT: Duration = Duration::from_secs(60);

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// These pools are to run, with what the person says about each.
    Wanted(BTreeMap<String, T>),
    /// Somebody looked whether a pool's daemon runs.
    Saw(String, Sight),
    /// What [`Action::Keep`] came to.
    Done(String, Outcome),
}

/// What a look at a pool shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Its daemon runs.
    Runs,
    /// It does not.
    Absent,
    /// It does not, and a person wanted that.
    Ended,
}

/// What beginning a pool, or telling it what changed, came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It runs as it should.
    Runs,
    /// It does not; it may the next time.
    Failed(String),
    /// It is not ours to begin.
    NotOurs(String),
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin the pool where it does not run, and see to it that it is as its table says. Comes back as [`Event::Done`].
    Keep(String),
    /// This is worth a line in the log.
    Say(String, Fact),
}

/// What is worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It runs as it should.
    Kept,
    /// Its daemon died.
    Died,
    /// It does not begin: why.
    Failed(String),
    /// It was begun so often that it rests until then.
    Rests(Timestamp),
    /// A person ended it; it stays so.
    Ended,
    /// It is not ours to begin: why.
    NotOurs(String),
    /// It is not kept any longer; it goes on by itself.
    Released,
}

/// How a kept pool stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has looked yet, or it is being begun.
    Beginning,
    /// It runs.
    Runs,
    /// It does not begin.
    Failing(String),
    /// It was begun too often; it rests until then. Why it did not last, where that is known.
    Resting(Timestamp, Option<String>),
    /// A person ended it.
    Ended,
    /// It is not ours.
    NotOurs(String),
}

#[derive(Clone, Debug)]
struct Pool<T> {
    table: T,
    standing: Standing,
    /// Something is being done for it.
    busy: bool,
    /// Something is to be done for it, as soon as nothing is.
    dirty: bool,
    /// When it is to be tried again.
    again: Option<Timestamp>,
    /// When it was begun lately.
    begun: Vec<Timestamp>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    pools: BTreeMap<String, Pool<T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        let pools = BTreeMap::new();
        Self { pools }
    }
}

impl<T: Clone + PartialEq> Kept<T> {
    /// Takes what happened; returns what to do about it.
    #[must_use]
    pub fn handle(&mut self, event: Event<T>, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Wanted(wanted) => self.want(wanted, &mut actions),
            Event::Saw(name, sight) => {
                if let Some(pool) = self.pools.get_mut(&name) {
                    pool.saw(&name, sight, now, &mut actions);
                }
            }
            Event::Done(name, outcome) => {
                if let Some(pool) = self.pools.get_mut(&name) {
                    pool.done(&name, outcome, now, &mut actions);
                }
            }
        }
        actions
    }

    /// The pools that are worth a look: those for which nothing is being done.
    pub fn watched(&self) -> impl Iterator<Item = &str> {
        let idle = self.pools.iter().filter(|(_, pool)| !pool.busy);
        idle.map(|(name, _)| name.as_str())
    }

    /// Every kept pool, and how it stands.
    pub fn standings(&self) -> impl Iterator<Item = (&str, &Standing)> {
        let pools = self.pools.iter();
        pools.map(|(name, pool)| (name.as_str(), &pool.standing))
    }

    fn want(&mut self, wanted: BTreeMap<String, T>, actions: &mut Vec<Action>) {
        self.pools.retain(|name, _| {
            let stays = wanted.contains_key(name);
            if !stays {
                actions.push(Action::Say(name.clone(), Fact::Released));
            }
            stays
        });
        for (name, table) in wanted {
            match self.pools.get_mut(&name) {
                Some(pool) if pool.table == table => {}
                Some(pool) => {
                    pool.table = table;
                    pool.dirty = true;
                    // Whatever was wrong may be right now.
                    pool.begun.clear();
                }
                None => {
                    self.pools.insert(name, Pool::new(table));
                }
            }
        }
    }
}

impl<T> Pool<T> {
    fn new(table: T) -> Self {
        Self {
            table,
            standing: Standing::Beginning,
            busy: false,
            dirty: true,
            again: None,
            begun: Vec::new(),
        }
    }

    fn saw(&mut self, name: &str, sight: Sight, now: Timestamp, actions: &mut Vec<Action>) {
        let say = |fact| Action::Say(name.to_owned(), fact);
        if self.busy {
            return;
        }
        // The clock may have been set back.
        let far = |at: Timestamp| at.since(now) > REST;
        let is_time = self.again.is_none_or(|at| at <= now || far(at));
        let act = match (&self.standing, sight) {
            (Standing::Runs, Sight::Absent) => {
                actions.push(say(Fact::Died));
                true
            }
            // It was begun again meanwhile, by somebody else, and may be gone again.
            (Standing::Ended, Sight::Runs | Sight::Absent) => true,
            (Standing::Ended, Sight::Ended) => {
                self.dirty = false;
                false
            }
            // What was left of an earlier end is gone once it was begun.
            (Standing::Beginning, _) => true,
            (_, Sight::Ended) => {
                self.standing = Standing::Ended;
                self.dirty = false;
                actions.push(say(Fact::Ended));
                false
            }
            (Standing::Runs, Sight::Runs) => self.dirty,
            (Standing::Failing(_) | Standing::Resting(..) | Standing::NotOurs(_), _) => {
                self.dirty || is_time
            }
        };
        if !act {
            return;
        }
        if matches!(self.standing, Standing::Resting(..)) {
            self.begun.clear();
        }
        self.begun
            .retain(|at| *at <= now && now.since(*at) < WITHIN);
        if self.begun.len() >= MOST {
            let until = now.plus(REST);
            let why = match &self.standing {
                Standing::Failing(why) => Some(why.clone()),
                _ => None,
            };
            self.standing = Standing::Resting(until, why);
            self.again = Some(until);
            return actions.push(say(Fact::Rests(until)));
        }
        // Telling a pool that runs what changed is no beginning.
        if sight != Sight::Runs || !matches!(self.standing, Standing::Runs) {
            self.begun.push(now);
        }
        self.busy = true;
        self.dirty = false;
        self.again = None;
        actions.push(Action::Keep(name.to_owned()));
    }

    fn done(&mut self, name: &str, outcome: Outcome, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.busy {
            return;
        }
        self.busy = false;
        let (standing, fact) = match outcome {
            Outcome::Runs => (Standing::Runs, Fact::Kept),
            Outcome::Failed(why) => {
                self.again = Some(now.plus(AGAIN));
                (Standing::Failing(why.clone()), Fact::Failed(why))
            }
            Outcome::NotOurs(why) => {
                self.again = Some(now.plus(LEFT));
                self.begun.clear();
                (Standing::NotOurs(why.clone()), Fact::NotOurs(why))
            }
        };
        // The same again is no news, but a pool that was begun or told is.
        if self.standing != standing || fact == Fact::Kept {
            self.standing = standing;
            actions.push(Action::Say(name.to_owned(), fact));
        }
    }
}

#[cfg(test)]
mod tests;
