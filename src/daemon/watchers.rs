//! What changes on disk, told to the loop: the top levels of the base and of the account directories, the base's
//! `.claude.json`, claude's list of sessions, the leases, the inbox, and what is published or set in the home. Nothing is watched recursively.
//!
//! A watch that cannot be had (too many of them, a file system without) is no error: the loop looks at everything
//! every half minute anyway.

use super::log::Log;
use super::main_loop::Event;
use super::strays::pid_of_entry;
use crate::contract::paths::{Base, Home};
use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

/// What a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    /// An entry of the base or of an account came or went, or settings changed.
    Overlay,
    /// A lease came or went.
    Leases,
    /// A session of claude began or ended, by its own registry.
    Sessions,
    /// A report was handed in.
    Inbox,
    /// Another command published something.
    Published,
    /// `config.toml` changed.
    Settings,
}

/// What may have changed when something was lost.
const ANYTHING: [Seen; 4] = [Seen::Overlay, Seen::Leases, Seen::Sessions, Seen::Inbox];

/// What is watched, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    home: Home,
    base: Base,
    accounts: Vec<PathBuf>,
}

/// Device and inode of a directory; none when it is not there.
type Identity = Option<(u64, u64)>;

/// The watches of a daemon.
pub(super) struct Watchers {
    watcher: Option<RecommendedWatcher>,
    events: SyncSender<Event>,
    /// What is watched, and which directories those were: one that was replaced is another.
    watched: Option<(Places, Vec<Identity>)>,
    log: Log,
}

impl Watchers {
    /// No watches yet.
    pub(super) fn new(events: SyncSender<Event>, log: Log) -> Self {
        Self {
            watcher: None,
            events,
            watched: None,
            log,
        }
    }

    /// Watches these places; when they are as they were, nothing is done. All watches are made anew otherwise: that
    /// happens when an account or the base changes.
    pub(super) fn watch(&mut self, home: &Home, base: &Base, accounts: Vec<PathBuf>) {
        let places = Places {
            home: home.clone(),
            base: base.clone(),
            accounts,
        };
        let identity = |dir: &PathBuf| fs::metadata(dir).map(|m| (m.dev(), m.ino())).ok();
        let identities: Vec<_> = places.directories().iter().map(identity).collect();
        let wanted = Some((places, identities));
        if self.watched == wanted {
            return;
        }
        self.watched = wanted;
        self.watcher = self.watched.as_ref().and_then(|(p, _)| self.start(p));
    }

    fn start(&self, places: &Places) -> Option<RecommendedWatcher> {
        let (events, known) = (self.events.clone(), places.clone());
        let tell = move |event: notify::Result<notify::Event>| {
            let seen = match event {
                Ok(event) => known.meaning(&event),
                // Something was lost: anything may have changed.
                Err(_) => BTreeSet::from(ANYTHING),
            };
            for seen in seen {
                // A loop with a full queue looks at everything before long.
                let _ = events.try_send(Event::Seen(seen));
            }
        };
        let mut watcher = match notify::recommended_watcher(tell) {
            Ok(watcher) => watcher,
            Err(error) => {
                self.log.warn("nothing is watched", &[("why", &error)]);
                return None;
            }
        };
        for dir in places.directories() {
            if !dir.is_dir() {
                continue;
            }
            if let Err(error) = watcher.watch(&dir, RecursiveMode::NonRecursive) {
                self.log
                    .warn("not watched", &[("path", &dir.display()), ("why", &error)]);
            }
        }
        Some(watcher)
    }
}

impl Places {
    fn directories(&self) -> BTreeSet<PathBuf> {
        let mut dirs: BTreeSet<PathBuf> = self.accounts.iter().cloned().collect();
        dirs.extend([
            self.home.path().to_owned(),
            self.home.leases(),
            self.home.inbox(),
            self.base.dir.clone(),
            self.registry(),
        ]);
        dirs.extend(self.base.json.parent().map(Path::to_owned));
        dirs
    }

    /// Where claude lists its sessions, for all accounts.
    fn registry(&self) -> PathBuf {
        self.base.dir.join("sessions")
    }

    fn meaning(&self, event: &notify::Event) -> BTreeSet<Seen> {
        if event.need_rescan() {
            return BTreeSet::from(ANYTHING);
        }
        let (names_changed, contents_changed) = match event.kind {
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => (false, false),
            EventKind::Modify(ModifyKind::Data(_)) => (false, true),
            _ => (true, true),
        };
        let paths = event.paths.iter();
        paths
            .filter_map(|path| self.seen(path, names_changed, contents_changed))
            .collect()
    }

    fn seen(&self, path: &Path, names: bool, contents: bool) -> Option<Seen> {
        let name = path.file_name()?;
        if is_passing(name) {
            return None;
        }
        let parent = path.parent()?;
        if *path == self.base.json {
            return contents.then_some(Seen::Overlay);
        }
        if parent == self.base.dir || parent == self.base.json.parent()? && path == self.base.dir {
            return names.then_some(Seen::Overlay);
        }
        if self.accounts.iter().any(|dir| dir == parent || dir == path) {
            let wanted = if name == ".claude.json" {
                contents
            } else {
                names
            };
            return wanted.then_some(Seen::Overlay);
        }
        if parent == self.registry() {
            // Their contents change with every turn of every session.
            return (names && pid_of_entry(name).is_some()).then_some(Seen::Sessions);
        }
        if parent == self.home.leases() || *path == self.home.leases() {
            return names.then_some(Seen::Leases);
        }
        if parent == self.home.inbox() || *path == self.home.inbox() {
            return names.then_some(Seen::Inbox);
        }
        if *path == self.home.snapshot() {
            return names.then_some(Seen::Published);
        }
        (contents && *path == self.home.config()).then_some(Seen::Settings)
    }
}

/// Locks and temporary files: they come and go with every write, the daemon's own included.
fn is_passing(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.ends_with(".lock") || name.contains(".tmp.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, CreateKind, DataChange, RenameMode};

    #[test]
    fn every_change_means_what_it_should() {
        let home = Home::new(Path::new("/u/.cc-pool")).expect("absolute");
        let places = Places {
            base: Base::default_in(Path::new("/u")),
            accounts: vec![PathBuf::from("/u/.cc-pool/accounts/acct-01")],
            home,
        };
        let made = EventKind::Create(CreateKind::File);
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let read = EventKind::Access(AccessKind::Any);
        let rows = [
            ("/u/.claude/new", made, Some(Seen::Overlay)),
            ("/u/.claude/new", read, None),
            ("/u/.claude/history.jsonl", written, None),
            ("/u/.claude/sessions/12.json", made, Some(Seen::Sessions)),
            ("/u/.claude/sessions/12.json", written, None),
            ("/u/.claude/sessions/12.ab.key", moved, None),
            ("/u/.claude.json", moved, Some(Seen::Overlay)),
            ("/u/.claude.json", written, Some(Seen::Overlay)),
            ("/u/.claude.json.lock", made, None),
            ("/u/.bashrc", moved, None),
            ("/u/.cc-pool/accounts/acct-01/x", made, Some(Seen::Overlay)),
            ("/u/.cc-pool/accounts/acct-01/x", written, None),
            ("/u/.cc-pool/accounts/acct-01/x.tmp.1.2", made, None),
            (
                "/u/.cc-pool/accounts/acct-01/.claude.json",
                written,
                Some(Seen::Overlay),
            ),
            ("/u/.cc-pool/leases/acct-01.p1", made, Some(Seen::Leases)),
            ("/u/.cc-pool/leases/.lock", made, None),
            ("/u/.cc-pool/inbox/1.json", moved, Some(Seen::Inbox)),
            ("/u/.cc-pool/snapshot.json", moved, Some(Seen::Published)),
            ("/u/.cc-pool/config.toml", written, Some(Seen::Settings)),
            ("/u/.cc-pool/state.db-wal", made, None),
        ];
        for (path, kind, expected) in rows {
            let event = notify::Event::new(kind).add_path(PathBuf::from(path));
            let seen: Vec<_> = places.meaning(&event).into_iter().collect();
            assert_eq!(seen, Vec::from_iter(expected), "{path} {kind:?}");
        }
    }
}
