//! Listing, showing and changing sessions.

use super::arguments::{Ls, PinArgument, Set, Target};
use super::stand::Stand;
use super::{metadata, parent};
use crate::contract::pool::{self, Archive, Info, Pin, Request, Verbosity};

pub(super) fn ls(stand: &Stand, arguments: &Ls) -> Request {
    let parent = if arguments.all {
        None
    } else {
        parent::of(arguments.parent.as_deref(), &stand.user_home)
    };
    Request::Ls(pool::Ls {
        parent,
        all: arguments.all,
        tree: arguments.tree,
        archived: arguments.archived,
        statuses: (!arguments.status.is_empty()).then(|| arguments.status.clone()),
        verbosity: arguments.verbosity,
    })
}

pub(super) fn info(target: &Target, verbosity: Verbosity) -> Request {
    Request::Info(Info {
        session_id: target.session(),
        verbosity,
    })
}

pub(super) fn archive(target: &Target, recursive: bool) -> Request {
    Request::Archive(Archive {
        session_id: target.session(),
        recursive,
    })
}

pub(super) fn set(arguments: &Set) -> Request {
    Request::Set(pool::Set {
        session_id: arguments.target.session(),
        priority: arguments.priority,
        pinned: arguments.pinned.map(|pinned| match pinned {
            PinArgument::Seconds(seconds) => Pin::ForMs(u64::from(seconds) * 1000),
            PinArgument::Off => Pin::Release,
        }),
        metadata: metadata(&arguments.meta),
    })
}
