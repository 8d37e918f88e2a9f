//! Watching the directories in which claudes keep a file about themselves. What the system forgets to tell is found by
//! looking again, which the loop does anyway.

use super::log::{Category, Log};
use super::main_loop::Event;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

/// Tells the loop which file changed.
pub(super) struct Watcher {
    system: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Not there when they were to be watched: claude makes its directory with its first file.
    missing: BTreeSet<PathBuf>,
    log: Log,
}

impl Watcher {
    /// One that watches nothing yet.
    pub(super) fn new(events: SyncSender<Event>, log: Log) -> Self {
        let hear = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() || event.kind.is_remove() {
                return;
            }
            for path in event.paths {
                // A loop that has too much to do looks at all files again anyway.
                let _ = events.try_send(Event::FileChanged(path));
            }
        };
        let system = notify::recommended_watcher(hear);
        if let Err(error) = &system {
            let message = format!("files cannot be watched: {error}");
            log.write(Category::Error, None, &message);
        }
        Self {
            system: system.ok(),
            watched: BTreeSet::new(),
            missing: BTreeSet::new(),
            log,
        }
    }

    /// Watches a directory, once.
    pub(super) fn watch(&mut self, dir: &Path) {
        let Some(system) = &mut self.system else {
            return;
        };
        let real = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        if self.watched.contains(&real) {
            return;
        }
        match system.watch(&real, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.missing.remove(dir);
                self.watched.insert(real);
            }
            Err(error) => {
                if self.missing.insert(dir.to_owned()) && real.exists() {
                    let message = format!("cannot watch {}: {error}", real.display());
                    self.log.write(Category::Error, None, &message);
                }
            }
        }
    }

    /// Whether everything that was to be watched is.
    pub(super) fn is_complete(&self) -> bool {
        self.system.is_some() && self.missing.is_empty()
    }

    /// Tries once more to watch what could not be watched.
    pub(super) fn try_again(&mut self) {
        for dir in self.missing.clone() {
            self.watch(&dir);
        }
    }
}
