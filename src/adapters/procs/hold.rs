//! Keeping the signals that end a command waiting while it does what must not be left half done.

use std::mem::MaybeUninit;

/// What a person or a closing terminal sends to end a command.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// While it lives, SIGINT, SIGTERM and SIGHUP are kept waiting by this thread and by threads it starts meanwhile. They
/// arrive when it is dropped. Other threads of the process are not concerned.
#[derive(Debug)]
pub struct HeldSignals {
    before: libc::sigset_t,
    /// Of this thread alone.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl HeldSignals {
    /// Holds them from here on.
    #[must_use]
    pub fn hold() -> Self {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are ours; sigemptyset fills the first before it is read, pthread_sigmask the second, which
        // is filled beforehand as well, so that it is a set even if that call failed.
        let before = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigemptyset(before.as_mut_ptr());
            for signal in SIGNALS {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        Self {
            before,
            _not_send: std::marker::PhantomData,
        }
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled when the signals were held; nothing is written.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.before,
                std::ptr::null_mut(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_held(signal: libc::c_int) -> bool {
        let mut now = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set is ours and filled by the first call.
        unsafe {
            libc::sigemptyset(now.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), now.as_mut_ptr());
            libc::sigismember(now.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn signals_are_held_here_and_in_threads_started_meanwhile_and_no_longer() {
        assert!(!is_held(libc::SIGTERM));
        let held = HeldSignals::hold();
        assert!(SIGNALS.into_iter().all(is_held));
        let there = std::thread::spawn(|| SIGNALS.into_iter().all(is_held));
        assert!(there.join().expect("ends"));
        drop(held);
        assert!(!SIGNALS.into_iter().any(is_held));
    }
}
