//! Pipes whose reader has gone.

use std::sync::Once;

/// From now on writing to a pipe that nobody reads is an error of that write, and no longer the end of this process.
///
/// Executables that start without Rust's own start-up inherit the signal as it was, which is right for what they become,
/// and wrong once they talk to a program that may hang up: a screen would be left as it is. Children get the default
/// back from [`std::process::Command`].
pub fn survive_broken_pipes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: ignoring a signal installs no handler; no other thread depends on this one's disposition.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    });
}
