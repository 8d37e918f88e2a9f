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
    /// The same, as it was asked for.
    named: BTreeSet<PathBuf>,
    /// The system does not watch these: that was logged.
    refused: BTreeSet<PathBuf>,
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
            named: BTreeSet::new(),
            refused: BTreeSet::new(),
            log,
        }
    }

    /// Watches a directory, once it is there: the first claude of all makes it. Cheap where it is watched already.
    pub(super) fn watch(&mut self, dir: &Path) {
        let Some(system) = &mut self.system else {
            return;
        };
        if self.named.contains(dir) {
            return;
        }
        let Ok(real) = std::fs::canonicalize(dir) else {
            return;
        };
        // Several accounts may lead to the same one.
        if self.watched.contains(&real) {
            self.named.insert(dir.to_owned());
            return;
        }
        match system.watch(&real, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(real);
                self.named.insert(dir.to_owned());
            }
            Err(error) => {
                if self.refused.insert(real) {
                    let message = format!("cannot watch {}: {error}", dir.display());
                    self.log.write(Category::Error, None, &message);
                }
            }
        }
    }

    /// Whether this directory is watched.
    pub(super) fn watches(&self, dir: &Path) -> bool {
        self.named.contains(dir)
    }
}
