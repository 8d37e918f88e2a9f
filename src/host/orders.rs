//! What a daemon or a hook said, and what follows: one arm each.

use super::connection::Role;
use super::main_loop::Host;
use super::picture::Work;
use crate::adapters::clock;
use crate::adapters::procs::ancestors;
use crate::contract::proto::host::{FromHost, Script, Size, ToHost};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a daemon may have typed ahead with [`ToHost::Input`].
const MAX_INPUT: usize = 16 * 1024 * 1024;
/// The longest grace: nobody waits longer for a claude that does not end.
const MAX_GRACE: Duration = Duration::from_secs(600);

impl Host {
    /// Does what this connection said.
    pub(super) fn heard(&mut self, id: u64, message: ToHost) {
        let Some(connection) = self.connections.iter().find(|c| c.id == id) else {
            return;
        };
        match (connection.role, message) {
            (Role::Stranger, ToHost::Hello { version }) => self.daemon_came(id, version),
            (
                Role::Stranger,
                ToHost::Hook {
                    token,
                    is_state,
                    json,
                },
            ) => {
                let pid = connection.pid;
                self.hook_came(&token, pid, is_state, json);
                self.close(id);
            }
            (Role::Stranger, _) => self.close(id),
            (Role::Daemon, order) => self.order(order),
        }
    }

    /// The newest daemon is the daemon.
    fn daemon_came(&mut self, id: u64, version: u32) {
        if version == 0 {
            return self.close(id);
        }
        self.connections
            .retain(|connection| connection.role != Role::Daemon);
        let hello = FromHost::Hello(Box::new(self.state()));
        let reports: Vec<FromHost> = self.reports.messages().collect();
        let Some(daemon) = self.connections.iter_mut().find(|c| c.id == id) else {
            return;
        };
        daemon.role = Role::Daemon;
        daemon.send(&hello);
        for report in &reports {
            daemon.send(report);
        }
    }

    fn hook_came(&mut self, token: &str, pid: u32, is_state: bool, json: Vec<u8>) {
        let why = if token != self.token {
            "a report with a wrong token"
        } else if !ancestors(pid).contains(&self.agent.pid) {
            "a report of a process that claude did not start"
        } else if is_state && !self.reports.is_news(&json) {
            return;
        } else {
            let message = self.reports.add(json, clock::now().unix_ms());
            return self.tell(&message);
        };
        self.refuse("hook", &format!("{why} (process {pid})"));
    }

    fn close(&mut self, id: u64) {
        self.connections.retain(|connection| connection.id != id);
    }

    fn order(&mut self, order: ToHost) {
        match order {
            ToHost::Hello { .. } => self.refuse("hello", "it was said already"),
            ToHost::Hook { .. } => self.refuse("hook", "a daemon is no hook"),
            ToHost::Type(script) => self.type_script(script),
            ToHost::Resize(size) => self.resize(size),
            ToHost::Screen { ticket, what } => self.picture.give(Work::Look(ticket, what)),
            ToHost::OpenAttach { path } => self.open_attach(&path),
            ToHost::CloseAttach { path } => self.attachments.close(&path),
            ToHost::Input { bytes } if self.keyboard.backlog() + bytes.len() > MAX_INPUT => {
                self.refuse("input", "the terminal takes nothing");
            }
            ToHost::Input { bytes } => self.people_type(&bytes),
            ToHost::AckReports { up_to } => self.reports.acknowledge(up_to),
            ToHost::SetSession { id } => self.set_session(id),
            ToHost::End { grace_ms } => {
                self.end(Duration::from_millis(grace_ms).min(MAX_GRACE));
            }
        }
    }

    fn type_script(&mut self, script: Script) {
        match self.keyboard.script(script, Instant::now()) {
            Ok(Some((number, whole))) => self.tell(&FromHost::Typed { number, whole }),
            Ok(None) => {}
            Err(why) => self.refuse("type", why),
        }
    }

    fn resize(&mut self, size: Size) {
        if size.cols == 0 || size.rows == 0 {
            return self.refuse("resize", "a terminal has at least one column and one row");
        }
        match self.pty.resize(size.cols, size.rows) {
            Ok(()) => {
                self.size = size;
                self.picture.give(Work::Resize(size));
            }
            Err(error) => self.refuse("resize", &error.to_string()),
        }
    }

    fn open_attach(&mut self, path: &Path) {
        match self.attachments.open(path) {
            Ok(()) => self.tell(&FromHost::AttachOpen {
                path: path.to_owned(),
            }),
            Err(error) => self.refuse("open_attach", &error.to_string()),
        }
    }

    fn set_session(&mut self, id: Option<String>) {
        if self.record.is.session != id {
            self.record.is.session = id;
            // A record that is gone is not made anew: its absence means that the host is to end.
            if self.record.is_there()
                && let Err(error) = self.record.write()
            {
                self.refuse("set_session", &error.to_string());
            }
        }
    }

    fn refuse(&mut self, what: &str, why: &str) {
        self.tell(&FromHost::Refused {
            what: what.to_owned(),
            why: why.to_owned(),
        });
    }
}
