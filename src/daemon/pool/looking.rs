//! Where the loop looks when nothing tells it: claudes' own files, the accounts, and what slots are started from.

use super::log::Category;
use super::main_loop::Pool;
use crate::adapters::registry::Registry;
use crate::core::pool::event::Event as Happened;
use crate::core::pool::id::Place;
use crate::core::pool::status::Readiness;
use std::path::Path;
use std::time::Instant;

impl Pool {
    pub(super) fn file_changed(&mut self, path: &Path) {
        let Some(pid) = Registry::pid_of(path) else {
            return;
        };
        let dir = path.parent();
        let place = self.processes.values().find_map(|process| {
            let is_it = process.agent_pid() == Some(pid);
            (is_it && dir.is_some_and(|d| d.ends_with("sessions"))).then_some(process.place)
        });
        if let Some(place) = place {
            self.look_at(place);
        }
    }

    /// Reads claude's own file, and tells the machine when it says something new.
    pub(super) fn look_at(&mut self, place: Place) {
        let Some(process) = self.processes.get_mut(&place) else {
            return;
        };
        if !process.announced {
            return;
        }
        let seen = process.read_file();
        if seen.is_none() {
            process.read_again();
        }
        if seen.is_none() || seen == process.seen {
            return;
        }
        process.seen.clone_from(&seen);
        if let Some(seen) = seen {
            if seen.readiness != Readiness::Starting {
                self.turns.over(place);
            }
            self.tell_machine(Happened::Readiness {
                place,
                readiness: seen.readiness,
                since: seen.since,
                uuid: seen.uuid,
            });
        }
    }

    pub(super) fn look_at_all(&mut self) {
        self.looked_at = Instant::now();
        let places: Vec<Place> = self.processes.keys().copied().collect();
        for place in places {
            let Some(process) = self.processes.get_mut(&place) else {
                continue;
            };
            self.watcher.watch(process.origin.registry().dir());
            if process.file_may_have_changed() {
                self.look_at(place);
            }
        }
    }

    /// The accounts may stand otherwise by now.
    pub(super) fn look_at_accounts(&mut self) {
        if let Some(standing) = self.standing.look(&self.ground, self.blueprint.dir()) {
            self.tell_machine(Happened::Accounts(standing));
        }
    }

    /// A rule that was just written holds for a session that is about to start.
    pub(super) fn notice_rules(&mut self) {
        let file = self.ground.configured.accounts().settings_file();
        if std::mem::replace(&mut self.rules_seen, file) != file {
            self.look_at_settings();
        }
    }

    /// What slots are started from may be another thing by now.
    pub(super) fn look_at_settings(&mut self) {
        self.settings_at = Instant::now();
        if !self.machine.is_initialized() {
            return;
        }
        match self.ground.configured.blueprint() {
            Ok(blueprint) if blueprint.settings() != self.blueprint.settings() => {
                self.blueprint = blueprint;
                self.tell_machine(Happened::SettingsChanged(self.blueprint.settings()));
            }
            Ok(_) => {}
            Err(error) => {
                self.ground.log.write(Category::Error, None, &error.text);
            }
        }
    }
}
