//! What the pool knows of the accounts beyond the one a slot is on: which of them the plan refuses, and where a session of
//! a refused one may go on. Read from what launches read; nobody is asked.

use super::accounts;
use super::main_loop::{Event, Ground, Pool};
use crate::adapters::clock;
use crate::adapters::procs::environment;
use crate::adapters::registry::Registry;
use crate::adapters::stamp::file_stamp;
use crate::contract::snapshot::FileStamp;
use crate::contract::vars;
use crate::core::account::AccountId;
use crate::core::pool::event::{Choice, Event as Happened, Standing};
use crate::core::pool::id::SessionId;
use crate::core::select::moving::{self, Refused, Way};
use crate::core::select::score::Assessment;
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether what is known of the accounts was written anew.
const AGAIN: Duration = Duration::from_secs(1);
/// How often they are judged anew all the same: headroom grows with time.
const JUDGED_AGAIN: Duration = Duration::from_secs(60);

/// What was known last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looked_at: Option<Instant>,
    judged_at: Option<Instant>,
    stamp: Option<FileStamp>,
    standing: Option<Standing>,
}

impl Watch {
    /// Whether it is time to look.
    pub(super) fn is_due(&self) -> bool {
        self.due_in() == Duration::ZERO
    }

    /// When it is.
    pub(super) fn due_in(&self) -> Duration {
        let since = self.looked_at.map_or(AGAIN, |at| at.elapsed());
        AGAIN.saturating_sub(since)
    }

    /// How the accounts stand, if that is news.
    pub(super) fn look(&mut self, ground: &Ground, dir: &Path) -> Option<Standing> {
        self.looked_at = Some(Instant::now());
        let stamp = Some(file_stamp(&ground.configured.accounts().home.snapshot()));
        let judged = self.judged_at.map_or(JUDGED_AGAIN, |at| at.elapsed());
        if stamp == self.stamp && judged < JUDGED_AGAIN {
            return None;
        }
        let before = self.standing.clone();
        let now = self.read(ground, dir);
        now.filter(|_| self.standing != before)
    }

    /// How the accounts stand; none where there are none.
    pub(super) fn read(&mut self, ground: &Ground, dir: &Path) -> Option<Standing> {
        self.looked_at = Some(Instant::now());
        self.judged_at = self.looked_at;
        let accounts = ground.configured.accounts();
        self.stamp = Some(file_stamp(&accounts.home.snapshot()));
        let person = ground.configured.person();
        let (only, billing) = (ground.configured.only(&person), person.allow_extra_usage);
        let standing = accounts.standing(only.as_ref(), dir, &BTreeMap::new(), None, clock::now());
        self.standing = standing.map(|accounts::Standing { ranking, billed }| {
            let mut refused = moving::refused(&ranking);
            // Whoever pays for more is not refused.
            refused.retain(|account, _| !(billing && billed.contains(account)));
            Standing {
                refused,
                outgrown: outgrown(&ranking, ground),
                is_open: ranking.iter().any(|account| account.available()),
            }
        });
        self.standing.clone()
    }
}

/// Accounts that a slot which nobody uses had better leave: also those that the pool may no longer use, as long as there
/// are others.
fn outgrown(ranking: &[Assessment], ground: &Ground) -> BTreeSet<AccountId> {
    let mut outgrown = moving::outgrown(ranking);
    if !ranking.is_empty() {
        let labels = ground.configured.labels();
        let is_left = |id: &AccountId| ranking.iter().any(|account| account.id == *id);
        outgrown.extend(labels.into_keys().filter(|id| !is_left(id)));
    }
    outgrown
}

/// Finds out where a session may go on, on a thread of its own, and tells the machine.
pub(super) fn choose(
    pool: &Pool,
    session: SessionId,
    question: Refused,
    refused: BTreeMap<AccountId, Timestamp>,
) {
    let configured = Arc::clone(&pool.ground.configured);
    let model = pool.blueprint.model().map(str::to_owned);
    let events = pool.ground.events.clone();
    let dir = pool.spawn_cwd(session);
    let choose = move || {
        let now = clock::now();
        let person = configured.person();
        let only = configured.only(&person);
        let accounts = configured.accounts();
        let standing = accounts.standing(only.as_ref(), &dir, &refused, model.as_deref(), now);
        let ranking = standing.map_or_else(Vec::new, |standing| standing.ranking);
        let way = moving::way(&ranking, person.handoff, &question, now);
        let choice = match way {
            Way::Move(to) => Choice::Move { to },
            Way::Wait { until, anywhere } => Choice::Wait { until, anywhere },
            Way::Stay => Choice::Stay,
        };
        let _ = events.send(Event::Happened(Box::new(Happened::Chosen {
            session,
            choice,
        })));
    };
    // Where no thread can be started, the machine gives the answer up and goes on.
    let _ = std::thread::Builder::new()
        .name("chooser".to_owned())
        .spawn(choose);
}

/// The process, of no slot of this pool, that has a conversation open: claude itself locks none, and two would write to
/// one transcript.
pub(super) fn open_elsewhere(pool: &Path, state_dir: &Path, uuid: &str) -> Option<u32> {
    let is_ours = |pid: &u32| {
        let values = environment::of_process(*pid, [vars::CLAUDE_POOL_DIR]);
        matches!(values, Ok(Some([Some(dir)])) if Path::new(&dir) == pool)
    };
    let writers = Registry::of(state_dir).writers(uuid).into_iter();
    writers.filter(|pid| !is_ours(pid)).min()
}
