//! Waiting for any of many inputs, with a bound.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What may happen at one of the loop's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Wake,
    Signal,
    Terminal,
    Socket,
    Listener(usize),
    Client(u64),
    Connection(u64),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    pub input: bool,
    pub room: bool,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    pub input: bool,
    pub room: bool,
    /// The other end is closed, both ways.
    pub hung_up: bool,
}

/// Everything that is waited for at once.
#[derive(Default)]
pub(super) struct Waits<'f> {
    places: Vec<Place>,
    descriptors: Vec<PollFd<'f>>,
}

impl<'f> Waits<'f> {
    /// Adds a descriptor. One that neither input nor room is wanted of is still told to have hung up.
    pub fn add(&mut self, place: Place, descriptor: BorrowedFd<'f>, interest: Interest) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.input);
        flags.set(PollFlags::OUT, interest.room);
        self.places.push(place);
        self.descriptors
            .push(PollFd::from_borrowed_fd(descriptor, flags));
    }

    /// Waits until something happens or the bound is over.
    pub fn wait(mut self, bound: Duration) -> Vec<(Place, Ready)> {
        let bound = Timespec {
            tv_sec: i64::try_from(bound.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(bound.subsec_nanos()),
        };
        if poll(&mut self.descriptors, Some(&bound)).is_err() {
            // Interrupted, or out of memory for a moment: the loop looks at the time and comes back.
            return Vec::new();
        }
        let happened = |descriptor: &PollFd<'_>| {
            let flags = descriptor.revents();
            let hung_up = flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
            Ready {
                input: flags.contains(PollFlags::IN),
                room: flags.contains(PollFlags::OUT),
                hung_up,
            }
        };
        let ready = self.descriptors.iter().map(happened);
        let all = self.places.iter().copied().zip(ready);
        all.filter(|(_, ready)| *ready != Ready::default())
            .collect()
    }
}
