//! Ending claude and all it started: a request, patience, then force, but no force while a login is being renewed, since
//! that would lose it.

use crate::adapters::files::is_younger;
use crate::adapters::procs::children::Signal;
use crate::adapters::procs::tree::{Member, tree};
use crate::contract::paths::CLAUDE_REFRESH_LOCK;
use crate::contract::vars::CCP_HOOK_TOKEN;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Once claude has ended, what it left behind gets no more than this to follow.
const MAX_SWEEP: Duration = Duration::from_secs(2);
/// Between two looks at what was asked to end.
const LOOK: Duration = Duration::from_millis(50);
/// What survives force for so long is not going to end: a process in the kernel's hands.
const GIVE_UP: Duration = Duration::from_secs(5);
/// A lock that nobody has touched for so long is nobody's (Claude Code 2.1.329).
const LOCK_AGE: Duration = Duration::from_secs(60);

/// What is to be ended.
#[derive(Debug)]
pub(super) struct Ending {
    agent: Member,
    token: String,
    config_dir: PathBuf,
    /// What belongs to claude, gathered while its parents are still there to tell.
    members: HashSet<Member>,
    grace: Duration,
    stage: Stage,
    next_look: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Claude was asked to end.
    Asked { force_at: Instant },
    /// Claude has ended; what it started was asked to.
    Sweeping { force_at: Instant },
    /// Everything has ended, or cannot be ended.
    Over,
}

impl Ending {
    /// Asks claude to end.
    pub fn ask(
        agent: Member,
        token: &str,
        config_dir: PathBuf,
        grace: Duration,
        now: Instant,
    ) -> Self {
        let mut ending = Self {
            agent,
            token: token.to_owned(),
            config_dir,
            members: HashSet::new(),
            grace,
            stage: Stage::Asked {
                force_at: now + grace,
            },
            next_look: now + LOOK,
        };
        ending.gather();
        agent.signal(Signal::Terminate);
        ending
    }

    /// Claude has ended, by itself or because it was asked: now what it started.
    pub fn sweep(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Asked { .. }) {
            self.gather();
            self.members
                .iter()
                .for_each(|m| m.signal(Signal::Terminate));
            self.stage = Stage::Sweeping {
                force_at: now + self.grace.min(MAX_SWEEP),
            };
            self.next_look = now;
        }
    }

    /// What ended already before it was asked.
    pub fn of_ended(agent: Member, token: &str, config_dir: PathBuf, now: Instant) -> Self {
        let mut ending = Self {
            agent,
            token: token.to_owned(),
            config_dir,
            members: HashSet::new(),
            grace: MAX_SWEEP,
            stage: Stage::Asked { force_at: now },
            next_look: now,
        };
        ending.sweep(now);
        ending
    }

    /// Does what the time has come for.
    pub fn tick(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK;
        match self.stage {
            Stage::Asked { force_at } if force_at <= now && !self.is_renewing() => {
                self.gather();
                self.agent.signal(Signal::Kill);
            }
            Stage::Asked { .. } | Stage::Over => {}
            Stage::Sweeping { force_at } => self.look(now, force_at),
        }
    }

    fn look(&mut self, now: Instant, force_at: Instant) {
        self.members.retain(|member| member.runs());
        if self.members.is_empty() {
            // Somebody may have been started between the last look and now.
            self.gather();
        }
        if self.members.is_empty() || now >= force_at + GIVE_UP && !self.is_renewing() {
            self.stage = Stage::Over;
        } else if now >= force_at && !self.is_renewing() {
            self.gather();
            self.members.iter().for_each(|m| m.signal(Signal::Kill));
        }
    }

    /// Shortens the grace: whoever asks again is less patient, or more of them are.
    pub fn hurry(&mut self, grace: Duration, now: Instant) {
        if let Stage::Asked { force_at } = &mut self.stage {
            *force_at = (*force_at).min(now + grace);
        }
    }

    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub const fn deadline(&self) -> Instant {
        self.next_look
    }

    /// Adds what belongs to claude by now. What cannot be seen cannot be ended.
    fn gather(&mut self) {
        let found = tree(self.agent.pid, CCP_HOOK_TOKEN, &self.token);
        self.members.extend(found.unwrap_or_default());
    }

    fn is_renewing(&self) -> bool {
        is_younger(&self.config_dir.join(CLAUDE_REFRESH_LOCK), LOCK_AGE)
    }
}
