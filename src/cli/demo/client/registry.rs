//! `sessions/<pid>.json`: what this process is doing, for whoever watches.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::VERSION;
use super::files;
use super::world::World;
use crate::adapters::simulated::now;

/// The entry of this process; removed when dropped.
#[derive(Debug)]
pub(super) struct Registry {
    file: PathBuf,
    entry: Value,
}

impl Registry {
    pub fn announce(world: &World, session: &str, entrypoint: &str) -> Self {
        let pid = std::process::id();
        let file = world
            .config_dir
            .join("sessions")
            .join(format!("{pid}.json"));
        let entry = json!({
            "pid": pid, "sessionId": session, "cwd": world.cwd_key(), "startedAt": now(), "procStart": process_start(),
            "version": VERSION, "peerProtocol": 1, "kind": "interactive", "entrypoint": entrypoint,
            "status": "idle", "updatedAt": now(), "statusUpdatedAt": now(),
        });
        let registry = Self { file, entry };
        registry.write();
        registry
    }

    /// `idle` or `busy`.
    pub fn set_status(&mut self, status: &str) {
        self.entry["status"] = json!(status);
        self.entry["statusUpdatedAt"] = json!(now());
        self.write();
    }

    pub fn set_session(&mut self, session: &str) {
        self.entry["sessionId"] = json!(session);
        self.write();
    }

    fn write(&self) {
        let mut entry = self.entry.clone();
        entry["updatedAt"] = json!(now());
        // Nobody to tell: the session works without its entry.
        let _ = files::replace(&self.file, &entry);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Field 22 of `/proc/self/stat`; empty where there is none.
fn process_start() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name
        .split_whitespace()
        .nth(19)
        .unwrap_or_default()
        .to_owned()
}
