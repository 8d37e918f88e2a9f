//! What hooks report. They are quick and can be lost, late or double: each is checked against what is known before it
//! counts, and what none of them says the registry and the transcript will.

use super::action::Fact;
use super::event::{Hook, Report, TurnFailure};
use super::id::{PromptId, SessionId, SlotId};
use super::machine::Machine;
use super::notice::Update;
use super::prompt_text::is_same;
use super::slot::{Running, State, Submitted, Turn};
use super::status::Beginning;
use crate::core::time::Timestamp;

impl Machine {
    pub(super) fn report(&mut self, report: Report) {
        let place = report.place;
        let Some(process) = self.at(place).and_then(|slot| slot.process.as_mut()) else {
            return;
        };
        process.reports = true;
        let beginning = match &report.hook {
            Hook::SessionStart { beginning } => Some(*beginning),
            _ => None,
        };
        if process.has_left(&report.uuid, report.at) {
            return;
        }
        let is_current = process.uuid.as_ref() == Some(&report.uuid);
        if !is_current && (process.was_in(&report.uuid) || beginning.is_none()) {
            let ends = matches!(report.hook, Hook::SessionEnd { .. });
            if process.was_in(&report.uuid) || ends {
                return;
            }
        }
        if let Some(mode) = &report.disposition.mode {
            process.seen.mode = Some(mode.clone());
        }
        if let Some(model) = &report.disposition.model {
            process.seen.model = Some(model.clone());
        }
        if beginning.is_some() {
            process.began = Some(report.uuid.clone());
        }
        let is_prompt = matches!(report.hook, Hook::PromptAccepted { .. });
        let pristine = process.pristine && beginning == Some(Beginning::Startup);
        // The start tells the model alone; the mode comes with the first prompt.
        let untouched = is_prompt && process.unprompted && !process.is_handled;
        process.unprompted &= !is_prompt;
        if pristine || untouched {
            let process = process.clone();
            self.learn_baseline(&process);
        }
        self.conversation(place, report.uuid.clone(), beginning);
        let slot = self.slots.get(&place.slot);
        if let Some(State::Hosting(id, _)) = slot.map(|slot| &slot.state) {
            let id = *id;
            self.hosted_report(place.slot, id, report);
        }
    }

    fn hosted_report(&mut self, slot: SlotId, id: SessionId, report: Report) {
        if let Some(model) = report.disposition.model {
            self.note_model(id, model);
        }
        match report.hook {
            Hook::PromptAccepted { text } => {
                self.prompt_accepted(slot, id, &text, report.prompt, report.at);
            }
            Hook::TurnEnded => self.turn_ended(slot, id, report.prompt, report.at),
            Hook::TurnFailed(failure) => {
                let refused = match &failure {
                    TurnFailure::RateLimit { until } => Some(*until),
                    TurnFailure::Other(_) => None,
                };
                let (what, until) = match failure {
                    TurnFailure::RateLimit { until } => ("rate_limit".to_owned(), until),
                    TurnFailure::Other(what) => (what, None),
                };
                self.log(Fact::TurnFailed {
                    session: id,
                    what,
                    until,
                });
                let judged = refused.is_some_and(|until| {
                    self.turn_refused(slot, report.prompt.as_ref(), report.at, until)
                });
                if !judged {
                    self.turn_ended(slot, id, report.prompt, report.at);
                }
            }
            Hook::CwdChanged { cwd } => self.note_cwd(id, cwd),
            Hook::SessionStart { .. } | Hook::Notification { .. } | Hook::SessionEnd { .. } => {}
        }
    }

    fn note_model(&mut self, id: SessionId, model: String) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.record.model.as_ref() != Some(&model)
        {
            session.record.model = Some(model);
            self.mark(id);
        }
    }

    fn note_cwd(&mut self, id: SessionId, cwd: std::path::PathBuf) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.record.cwd != cwd
        {
            session.record.cwd.clone_from(&cwd);
            self.mark(id);
            self.tell_changes(id, vec![Update::Cwd(cwd)]);
        }
    }

    fn prompt_accepted(
        &mut self,
        slot_id: SlotId,
        id: SessionId,
        text: &str,
        prompt: Option<PromptId>,
        at: Timestamp,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.record.has_transcript {
            session.record.has_transcript = true;
            self.mark(id);
        }
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let State::Hosting(_, turn) = &mut slot.state else {
            return;
        };
        match turn {
            Turn::Delivering(submission) => {
                // One from before it was sent is about another prompt, though its text may be the same.
                let can_be = submission.sent_at.is_some_and(|sent_at| at >= sent_at);
                let ours = self.sessions.get(&id).and_then(|s| s.prompt.as_ref());
                if can_be && ours.is_some_and(|ours| is_same(&ours.text, text)) {
                    self.acknowledge(slot_id, id, prompt);
                    self.taken_here(slot_id);
                }
            }
            Turn::Running(running) => {
                let ours = running.ours.as_ref();
                let same = ours.is_some_and(|ours| is_same(&ours.text, text));
                if same && running.prompt.is_none() && at >= running.since {
                    running.prompt = prompt;
                } else if running.ours.is_none() {
                    self.somebody_submitted(slot_id, text, prompt, at);
                    self.know_prompt(slot_id);
                }
            }
            Turn::Quiet { .. } => self.somebody_submitted(slot_id, text, prompt, at),
            Turn::Tidying { .. } | Turn::Choosing(_) => {}
        }
    }

    /// A hook told that the prompt was taken, in the conversation that it is about.
    fn taken_here(&mut self, slot_id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&slot_id)
            && let State::Hosting(_, Turn::Running(running)) = &mut slot.state
            && let (Some(ours), Some(process)) = (&mut running.ours, &slot.process)
        {
            ours.taken_in.clone_from(&process.uuid);
        }
    }

    fn somebody_submitted(
        &mut self,
        slot_id: SlotId,
        text: &str,
        prompt: Option<PromptId>,
        at: Timestamp,
    ) {
        let slot = self.slots.get_mut(&slot_id);
        if let Some(process) = slot.and_then(|slot| slot.process.as_mut()) {
            let text = text.into();
            process.submitted = Some(Submitted { text, prompt, at });
        }
    }

    /// A hook says that a turn ran into a limit. Whether it was the plan's, the transcript tells; whether that is asked.
    fn turn_refused(
        &mut self,
        slot_id: SlotId,
        prompt: Option<&PromptId>,
        at: Timestamp,
        until: Option<Timestamp>,
    ) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return false;
        };
        let has_account = slot.process.as_ref().is_some_and(|p| p.account.is_some());
        let State::Hosting(_, Turn::Running(running)) = &mut slot.state else {
            return false;
        };
        let is_another = matches!(meaning(running, prompt), Meaning::AnotherTurn);
        if !has_account || is_another {
            return false;
        }
        if running.ours.is_some() {
            running.judged_since.get_or_insert(now);
            return true;
        }
        // Nobody knows what was typed. Only the plan's limit has an end that is told.
        let counts = until.is_some() && at >= running.since;
        if counts {
            self.refused(slot_id, None, true, until);
        }
        counts
    }

    /// A hook says that a turn has ended: this one, or one before.
    fn turn_ended(
        &mut self,
        slot_id: SlotId,
        id: SessionId,
        prompt: Option<PromptId>,
        at: Timestamp,
    ) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let State::Hosting(_, turn) = &mut slot.state else {
            return;
        };
        match turn {
            Turn::Running(running) => match meaning(running, prompt.as_ref()) {
                Meaning::ThisTurn => self.end_turn(slot_id, at),
                Meaning::AnotherTurn => {}
                Meaning::Doubtful => {
                    let Some(ours) = running.ours.clone() else {
                        return;
                    };
                    running.doubt = Some(now);
                    self.ask_transcript(id, ours);
                }
            },
            // The report that it was taken may be lost.
            Turn::Delivering(submission) => submission.look_at = now,
            Turn::Quiet { .. } | Turn::Tidying { .. } | Turn::Choosing(_) => {}
        }
    }
}

enum Meaning {
    ThisTurn,
    AnotherTurn,
    Doubtful,
}

fn meaning(running: &Running, prompt: Option<&PromptId>) -> Meaning {
    match (&running.prompt, prompt) {
        (Some(ours), Some(theirs)) if ours == theirs => Meaning::ThisTurn,
        (Some(_), Some(_)) => Meaning::AnotherTurn,
        _ => Meaning::Doubtful,
    }
}
