//! The process table: who runs since when, and on which machine that is.

#[cfg(feature = "full")]
mod ancestry;
#[cfg(feature = "full")]
mod asleep;
#[cfg(feature = "full")]
pub mod background;
pub mod children;
#[cfg(feature = "full")]
pub mod environment;
#[cfg(feature = "full")]
pub mod hold;
#[cfg(feature = "full")]
pub mod interrupt;
#[cfg(feature = "full")]
pub mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(feature = "full")]
pub mod memory;
#[cfg(feature = "full")]
pub mod peer;
#[cfg(feature = "full")]
pub mod pipes;
#[cfg(feature = "full")]
pub mod terminal;
#[cfg(feature = "full")]
pub mod tree;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;

#[cfg(feature = "full")]
pub use ancestry::ancestors;
#[cfg(feature = "full")]
pub use asleep::slept;

use crate::core::accounts::lease::{Holder, Sighting};
use crate::core::hash::hash;
use std::sync::OnceLock;

/// What tells this machine, since its last boot, from any other that shares the home directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Boot id, pid namespace and host name, separated by blanks.
    pub text: String,
    /// Hash of the text.
    pub hash: u64,
}

/// This machine. What cannot be found out is left empty.
#[must_use]
pub fn machine() -> Machine {
    // Neither changes while this process lives; the host's name may.
    static BOOT: OnceLock<String> = OnceLock::new();
    let text = format!("{} {}", BOOT.get_or_init(platform::boot), host_name());
    let hash = hash(text.as_bytes());
    Machine { text, hash }
}

/// Start time of a process, in the platform's own unit (see [`Holder::Process`]); none when it does not run.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    platform::start_time(pid)
}

/// This process as the holder of a lease; none when the process table cannot be read.
#[must_use]
pub fn own_holder() -> Option<Holder> {
    let pid = std::process::id();
    Some(Holder::Process {
        pid,
        start: start_time(pid)?,
    })
}

/// What can be told of a lease's holder from this machine.
#[must_use]
pub fn sight(holder: Holder, lease_machine: u64, this: &Machine) -> Sighting {
    match holder {
        _ if lease_machine != this.hash => Sighting::Unknown,
        Holder::Reservation { .. } => Sighting::Unknown,
        Holder::Process { pid, start } if start_time(pid) == Some(start) => Sighting::Running,
        Holder::Process { .. } => Sighting::Gone,
    }
}

/// How claude names the space in which a pid means something.
#[cfg(feature = "full")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidDomain {
    /// By the machine's id: `linux:MACHINE:pid:[NAMESPACE]`.
    pub by_machine: String,
    /// By the host's name: `HOST#pid:[NAMESPACE]`.
    pub by_host: String,
}

/// The space of this process's pid, spelled as claude 2.1.329 spells it beside its locks (measured on Linux); none where
/// its spelling is not known.
#[cfg(feature = "full")]
#[must_use]
pub fn domain() -> Option<PidDomain> {
    #[cfg(target_os = "linux")]
    {
        let namespace = platform::pid_namespace()?;
        Some(PidDomain {
            by_machine: format!("linux:{}:{namespace}", platform::machine_id()?),
            by_host: format!("{}#{namespace}", host_name()),
        })
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The host's name; empty when it cannot be told.
fn host_name() -> String {
    let mut buffer = [0_u8; 256];
    // SAFETY: the buffer is ours and its length is passed along; one byte is kept for the terminator.
    let rc = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    if rc != 0 {
        return String::new();
    }
    let end = buffer.iter().position(|b| *b == 0).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

/// The effective user of this process.
#[cfg(feature = "full")]
#[must_use]
pub fn user_id() -> u32 {
    // SAFETY: takes and touches nothing.
    unsafe { libc::geteuid() }
}

/// Leaves the terminal and the process group it was started in. A leader of a group stays where it is.
#[cfg(feature = "full")]
pub fn leave_session() {
    // SAFETY: takes and touches no memory; a refusal changes nothing.
    unsafe { libc::setsid() };
}

/// Asks the process with this number and start time to end, if it is still that one. Returns whether it was there.
#[cfg(feature = "full")]
#[must_use]
pub fn ask_to_end(pid: u32, start: u64) -> bool {
    let is_same = start_time(pid) == Some(start);
    if is_same {
        children::signal_child(pid, children::Signal::Terminate);
    }
    is_same
}

/// The name the system has for this user; empty when it has none.
#[cfg(feature = "full")]
#[must_use]
pub fn user_name() -> String {
    // SAFETY: getpwuid returns null or a record that lives until the next call.
    let record = unsafe { libc::getpwuid(libc::getuid()) };
    if record.is_null() {
        return String::new();
    }
    // SAFETY: a record's name is a C string or null, and it is copied at once.
    unsafe {
        let name = (*record).pw_name;
        if name.is_null() {
            return String::new();
        }
        std::ffi::CStr::from_ptr(name)
            .to_string_lossy()
            .into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_another_with_its_number_does_not() {
        let Some(Holder::Process { pid, start }) = own_holder() else {
            panic!("this process runs")
        };
        let this = machine();
        assert_eq!(
            sight(Holder::Process { pid, start }, this.hash, &this),
            Sighting::Running
        );
        assert_eq!(
            sight(
                Holder::Process {
                    pid,
                    start: start + 1
                },
                this.hash,
                &this
            ),
            Sighting::Gone
        );
        assert_eq!(
            sight(Holder::Process { pid, start }, this.hash ^ 1, &this),
            Sighting::Unknown
        );
    }

    #[test]
    fn the_machine_is_the_same_each_time() {
        assert_eq!(machine(), machine());
        assert!(machine().text.len() > 2, "something was found out");
    }
}
