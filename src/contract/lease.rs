//! The name of a lease file. It carries all that a launch has to know of other sessions, so that counting them costs
//! one directory listing; the contents (see [`super::record`]) are the record of the pick, for people.
//!
//! `acct-01.p4711-123456.<machine>.<directory>.<created>.s`: account, holder (`p` pid-start, `r` tag), machine and
//! directory as 16 hexadecimal digits of [`crate::core::hash`], creation in milliseconds since the Unix epoch, `s` sticky or `b`
//! beside a live session of the same directory.

use crate::core::account::AccountId;
use crate::core::accounts::lease::Holder;
use crate::core::time::Timestamp;
use std::fmt;

/// A lease, as its file name tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Whose.
    pub account: AccountId,
    /// Who holds it.
    pub holder: Holder,
    /// Hash of boot id, pid namespace and host name.
    pub machine: u64,
    /// Hash of the exact working directory.
    pub directory: u64,
    /// When it was written.
    pub created_at: Timestamp,
    /// It ranked freely beside a live session there, and does not move the automatic pin.
    pub beside: bool,
}

impl LeaseName {
    /// Reads a file name; none when it is not a lease's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let mut next = || parts.next();
        let account = AccountId::from_dir_name(next()?)?;
        let holder = parse_holder(next()?)?;
        let hex = |text: &str| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?;
        let machine = hex(next()?)?;
        let directory = hex(next()?)?;
        let created_at = Timestamp::from_unix_ms(next()?.parse().ok()?);
        let beside = match next()? {
            "s" => false,
            "b" => true,
            _ => return None,
        };
        next().is_none().then_some(Self {
            account,
            holder,
            machine,
            directory,
            created_at,
            beside,
        })
    }
}

fn parse_holder(text: &str) -> Option<Holder> {
    if let Some(process) = text.strip_prefix('p') {
        let (pid, start) = process.split_once('-')?;
        return Some(Holder::Process {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        });
    }
    let tag = text.strip_prefix('r').filter(|t| t.len() == 16)?;
    Some(Holder::Reservation {
        tag: u64::from_str_radix(tag, 16).ok()?,
    })
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.account)?;
        match self.holder {
            Holder::Process { pid, start } => write!(f, "p{pid}-{start}")?,
            Holder::Reservation { tag } => write!(f, "r{tag:016x}")?,
        }
        let flag = if self.beside { 'b' } else { 's' };
        write!(
            f,
            ".{:016x}.{:016x}.{}.{flag}",
            self.machine,
            self.directory,
            self.created_at.unix_ms()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_is_read_as_it_was_written(
            number in 1..=AccountId::MAX, pid in any::<u32>(), start in any::<u64>(), tag in any::<u64>(),
            process in any::<bool>(), machine in any::<u64>(), directory in any::<u64>(), created in any::<i64>(),
            beside in any::<bool>(),
        ) {
            let holder = if process { Holder::Process { pid, start } } else { Holder::Reservation { tag } };
            let account = AccountId::new(number).expect("in range");
            let created_at = Timestamp::from_unix_ms(created);
            let lease = LeaseName { account, holder, machine, directory, created_at, beside };
            prop_assert_eq!(LeaseName::parse(&lease.to_string()), Some(lease));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = LeaseName::parse(&text);
        }
    }

    #[test]
    fn other_names_are_no_leases() {
        for name in [
            "",
            ".lock",
            "acct-01",
            "acct-01.p1.0.0.0.s",
            "acct-1.p1-2.0000000000000000.0000000000000000.1.s",
        ] {
            assert_eq!(LeaseName::parse(name), None, "{name}");
        }
    }
}
