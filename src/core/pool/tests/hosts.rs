//! What hosts and claudes do with what is typed, and what is heard of it.

use super::claude::Working;
use super::world::{Happening, Line, World, ms};
use crate::core::pool::action::Typing;
use crate::core::pool::event::{Event, Hook, Report};
use crate::core::pool::id::{ClaudeUuid, DeliveryNumber, Place, PromptId};
use crate::core::pool::status::{Beginning, Disposition, Readiness};

impl World {
    pub(super) fn command(&mut self, place: Place, number: DeliveryNumber, typing: Typing) {
        let daemon_now = self.now;
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        if number <= host.done {
            let at = daemon_now;
            return self.tell(0, 2, Event::Typed { place, number, at });
        }
        if host.typing.is_some() {
            // One after the other.
            return self.after(5, Happening::Command(place, number, typing));
        }
        host.typing = Some(number);
        let pauses = matches!(
            typing,
            Typing::Prompt(_) | Typing::Clear | Typing::Resume(_) | Typing::PutBack(_)
        );
        // A megabyte takes claude more than a minute.
        let bytes = match &typing {
            Typing::Prompt(text) => text.len() as u64,
            _ => 0,
        };
        let time = if pauses { 110 } else { 1 } + bytes / 15;
        self.after(time, Happening::TypedNow(place, number, typing));
    }

    pub(super) fn typed(&mut self, place: Place, number: DeliveryNumber, typing: Typing) {
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        host.typing = None;
        host.done = number;
        let claude = &mut host.claude;
        let submits = !claude.rewind;
        let submit = matches!(
            typing,
            Typing::Submit | Typing::Prompt(_) | Typing::Clear | Typing::Resume(_)
        );
        match typing {
            Typing::EmptyBox => claude.in_box.clear(),
            Typing::CloseRewind => claude.rewind = false,
            Typing::Interrupt => self.escape(place),
            // A dialog takes the keys.
            _ if !submits => {}
            Typing::Prompt(text) => claude.in_box = text.to_string(),
            Typing::Clear => claude.in_box = "/clear".to_owned(),
            Typing::Resume(uuid) => claude.in_box = format!("/resume {}", uuid.as_str()),
            Typing::PutBack(text) => claude.in_box.push_str(&text),
            Typing::Submit => {}
        }
        if submit && submits && !self.chance.chance(self.faults.swallowed) {
            self.submit(place);
        } else {
            self.box_changed(place);
        }
        self.answer_typed(place, number);
    }

    pub(super) fn answer_typed(&mut self, place: Place, number: DeliveryNumber) {
        let at = self.now;
        self.tell(0, 4, Event::Typed { place, number, at });
    }

    pub(super) fn box_changed(&mut self, place: Place) {
        if let Some(host) = self.hosts.get(&place) {
            let text = host.claude.in_box.clone();
            self.tell(80, 120, Event::PendingInput { place, text });
        }
    }

    /// The submit key reaches claude.
    pub(super) fn submit(&mut self, place: Place) {
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let claude = &mut host.claude;
        if !claude.ready || claude.in_box.is_empty() || claude.working.is_some() {
            return;
        }
        let text = std::mem::take(&mut claude.in_box);
        self.box_changed(place);
        if text == "/clear" {
            self.clear(place);
        } else if let Some(uuid) = text.strip_prefix("/resume ") {
            let uuid = ClaudeUuid::new(uuid);
            if self.transcripts.contains_key(&uuid) {
                let slow = self.chance.chance(self.faults.slow_resume);
                let time = if slow { 9000 } else { 150 };
                if let Some(host) = self.hosts.get_mut(&place) {
                    host.claude.resuming = true;
                }
                self.write(place, Readiness::Busy);
                self.after(time, Happening::Resumed(place, uuid));
            }
        } else {
            self.take(place, text);
        }
    }

    pub(super) fn clear(&mut self, place: Place) {
        let uuid = self.new_uuid();
        self.hook(
            place,
            Hook::SessionEnd {
                reason: "clear".to_owned(),
            },
            None,
        );
        if let Some(host) = self.hosts.get_mut(&place) {
            host.claude.uuid = uuid;
        }
        self.hook(
            place,
            Hook::SessionStart {
                beginning: Beginning::Clear,
            },
            None,
        );
        self.after(20, Happening::Write(place, Readiness::Idle));
    }

    pub(super) fn resumed(&mut self, place: Place, uuid: ClaudeUuid) {
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        host.claude.uuid = uuid;
        self.hook(
            place,
            Hook::SessionStart {
                beginning: Beginning::Resume,
            },
            None,
        );
        self.write(place, Readiness::Busy);
        if let Some(host) = self.hosts.get_mut(&place) {
            host.claude.resuming = false;
        }
        self.after(60, Happening::Write(place, Readiness::Idle));
    }

    /// Claude takes a prompt: the record is in the transcript before anybody hears of it.
    pub(super) fn take(&mut self, place: Place, text: String) {
        let (number, prompt_id) = (self.count(), self.count());
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let working = Working {
            text: text.clone(),
            prompt_id,
            number,
            said: false,
        };
        let uuid = host.claude.uuid.clone();
        host.claude.working = Some(working);
        let lines = self.transcripts.entry(uuid).or_default();
        lines.push(Line::Prompt(text.clone()));
        self.hook(place, Hook::PromptAccepted { text }, Some(prompt_id));
        self.after(90, Happening::Write(place, Readiness::Busy));
        let time = self.chance.between(self.turn.0, self.turn.1);
        match self.will_be_refused(place) {
            Some(true) => return self.refused_later(place, number, time),
            Some(false) => return self.after(time / 4, Happening::Refused(place, number)),
            None => {}
        }
        self.after(time / 2, Happening::Says(place, number));
        if self.chance.chance(10) && time > 1500 {
            self.after(time / 2 + 10, Happening::Asks(place, number));
        }
        self.after(time, Happening::TurnOver(place, number));
    }

    /// A tool runs, and then the plan refuses to go on.
    fn refused_later(&mut self, place: Place, number: u64, time: u64) {
        self.after(time / 2, Happening::Says(place, number));
        self.after(time, Happening::Refused(place, number));
    }

    pub(super) fn is_at(&self, place: Place, turn: u64) -> bool {
        let claude = self.hosts.get(&place).map(|host| &host.claude);
        let working = claude.and_then(|claude| claude.working.as_ref());
        working.is_some_and(|working| working.number == turn)
    }

    pub(super) fn says(&mut self, place: Place, turn: u64) {
        if self.is_at(place, turn)
            && let Some(host) = self.hosts.get_mut(&place)
        {
            if let Some(working) = &mut host.claude.working {
                working.said = true;
            }
            let uuid = host.claude.uuid.clone();
            self.transcripts.entry(uuid).or_default().push(Line::Said);
        }
    }

    pub(super) fn turn_over(&mut self, place: Place, turn: u64) {
        if !self.is_at(place, turn) {
            return;
        }
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let uuid = host.claude.uuid.clone();
        let prompt = host.claude.working.take().map(|working| working.prompt_id);
        self.transcripts.entry(uuid).or_default().push(Line::Ended);
        self.hook(place, Hook::TurnEnded, prompt);
        self.after(60, Happening::Write(place, Readiness::Idle));
    }

    /// Escape reaches claude.
    pub(super) fn escape(&mut self, place: Place) {
        let swallowed = self.chance.chance(self.faults.swallowed);
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let claude = &mut host.claude;
        if swallowed {
            return;
        }
        match claude.working.take() {
            Some(working) => {
                if !working.said && claude.in_box.is_empty() {
                    claude.in_box = working.text;
                }
                self.after(60, Happening::Write(place, Readiness::Idle));
                self.box_changed(place);
            }
            None => {
                let again = claude.escaped_at.is_some_and(|at| now.since(at) < ms(1000));
                claude.rewind |= again;
                claude.escaped_at = Some(now);
            }
        }
    }

    pub(super) fn ready(&mut self, place: Place) {
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        host.claude.ready = true;
        self.dialog_answered(place);
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let resumed = self.transcripts.contains_key(&host.claude.uuid);
        let beginning = if resumed {
            Beginning::Resume
        } else {
            Beginning::Startup
        };
        self.hook(place, Hook::SessionStart { beginning }, None);
        self.write(place, Readiness::Idle);
    }

    /// The registry file is written, and read by the daemon a little later.
    pub(super) fn write(&mut self, place: Place, readiness: Readiness) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        let claude = &mut host.claude;
        // It says what claude does by then.
        let readiness = match (&claude.working, readiness) {
            (Some(_), Readiness::Idle) => Readiness::Busy,
            (None, Readiness::Waiting { .. } | Readiness::Busy) if !claude.resuming => {
                Readiness::Idle
            }
            (_, readiness) => readiness,
        };
        claude.write(readiness, now);
        let (readiness, since) = (claude.readiness.clone(), claude.since);
        let uuid = claude.written_uuid.clone();
        if !self.chance.chance(self.faults.lost_registry) {
            self.tell(
                1,
                25,
                Event::Readiness {
                    place,
                    readiness,
                    since,
                    uuid,
                },
            );
        }
    }

    pub(super) fn hook(&mut self, place: Place, hook: Hook, prompt: Option<u64>) {
        if self.faults.no_hooks || self.chance.chance(self.faults.lost_hook) {
            return;
        }
        let Some(host) = self.hosts.get_mut(&place) else {
            return;
        };
        host.seq += 1;
        let model = matches!(hook, Hook::SessionStart { .. }).then(|| host.claude.model.clone());
        let prompt = prompt.filter(|_| !self.faults.no_prompt_ids);
        let report = Report {
            place,
            seq: host.seq,
            at: self.now.plus(ms(20)),
            uuid: host.claude.uuid.clone(),
            prompt: prompt.map(|id| PromptId::new(&id.to_string())),
            disposition: Disposition { mode: None, model },
            hook,
        };
        host.reports.push(report.clone());
        if self.chance.chance(self.faults.double_hook) {
            self.tell(20, 1500, Event::Report(report.clone()));
        }
        let late = self.chance.chance(self.faults.late_hook);
        self.tell(20, if late { 2500 } else { 45 }, Event::Report(report));
    }
}
