//! The command line, as the kernel gave it. Looked at by hand: a parser costs more than the whole launch.

use super::text;
use std::ffi::{CStr, CString, c_char, c_int};

/// What the launcher is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Launch claude with the arguments from this index on.
    Run {
        /// Index of claude's first argument.
        first: usize,
    },
    /// Print the config directory of a pick; no other option was given.
    Select {
        /// The account that the person names.
        account: Option<String>,
    },
    /// Anything else is `ccpd`'s.
    HandOver,
}

/// The arguments of this process, program name included, terminated by a null pointer for `execve`.
#[derive(Clone, Debug)]
pub struct Arguments {
    pointers: Vec<*const c_char>,
}

impl Arguments {
    /// Takes over what `main` was given.
    ///
    /// # Safety
    /// `argv` has to point to `argc` C strings that live as long as the process.
    #[must_use]
    pub unsafe fn new(argc: c_int, argv: *const *const c_char) -> Self {
        let count = usize::try_from(argc).unwrap_or(0);
        let mut pointers = Vec::with_capacity(count + 1);
        for i in 0..count {
            // SAFETY: the caller vouches for `argc` pointers.
            pointers.push(unsafe { *argv.add(i) });
        }
        pointers.push(std::ptr::null());
        Self { pointers }
    }

    /// Arguments that a command put together, program name included. They live until the process ends, as those that the
    /// kernel gives do.
    #[must_use]
    pub fn made_of(words: Vec<CString>) -> Self {
        let leak = |word: CString| word.into_raw().cast_const();
        let mut pointers: Vec<*const c_char> = words.into_iter().map(leak).collect();
        pointers.push(std::ptr::null());
        Self { pointers }
    }

    /// The same for a test.
    #[cfg(test)]
    pub(crate) fn of(arguments: &[&[u8]]) -> Self {
        let word = |bytes: &&[u8]| CString::new(*bytes).expect("no NUL inside");
        Self::made_of(arguments.iter().map(word).collect())
    }

    /// How many there are, program name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pointers.len() - 1
    }

    /// Whether there is not even a program name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The argument at this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&CStr> {
        let pointer = *self.pointers.get(index)?;
        // SAFETY: `new` was promised that all but the terminating null are C strings that live as long as the process.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
    }

    /// The arguments from an index on that are text.
    pub fn texts(&self, first: usize) -> impl Iterator<Item = &str> {
        // One that is not text stands for itself as an empty word, so that options keep their values.
        (first..self.len())
            .filter_map(|i| self.get(i))
            .map(|a| text(a).unwrap_or(""))
    }

    /// Pointers to the arguments from an index on, with the terminating null.
    #[must_use]
    pub fn tail(&self, first: usize) -> &[*const c_char] {
        &self.pointers[first.min(self.len())..]
    }

    /// The name by which a client or a daemon of a session pool was called, when it was: that program has options of its
    /// own, and claude's are not among them.
    #[must_use]
    pub fn pool_name(&self) -> Option<&'static CStr> {
        let called = self.get(0)?.to_bytes();
        let name = called.rsplit(|byte| *byte == b'/').next()?;
        [c"claude-pool-cli", c"claude-pool"]
            .into_iter()
            .find(|known| known.to_bytes() == name)
    }

    /// What is asked for. `ccp -p hi` is `ccp run -p hi`, except for ccp's own -h, --help, -V and --version.
    #[must_use]
    pub fn job(&self) -> Job {
        let Some(first) = self.get(1).filter(|_| self.pool_name().is_none()) else {
            return Job::HandOver;
        };
        match text(first) {
            Some("run") => self.run_job(2),
            Some("select") => self.select_job(),
            Some("-h" | "--help" | "-V" | "--version") => Job::HandOver,
            _ if first.to_bytes().starts_with(b"-") => Job::Run { first: 1 },
            _ => Job::HandOver,
        }
    }

    /// `ccp run --help` is about claude, as everything after `run` is.
    fn run_job(&self, first: usize) -> Job {
        Job::Run { first }
    }

    fn select_job(&self) -> Job {
        let mut account = None;
        let mut words = (2..self.len()).map(|i| self.get(i).and_then(text));
        while let Some(word) = words.next() {
            match word {
                Some("--account" | "-a") => match words.next() {
                    Some(Some(name)) => account = Some(name.to_owned()),
                    _ => return Job::HandOver,
                },
                Some(word) => match word.strip_prefix("--account=") {
                    Some(name) => account = Some(name.to_owned()),
                    None => return Job::HandOver,
                },
                None => return Job::HandOver,
            }
        }
        Job::Select { account }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides() {
        let run = |first| Job::Run { first };
        let select = |account: Option<&str>| Job::Select {
            account: account.map(str::to_owned),
        };
        let rows: [(&[&[u8]], Job); 20] = [
            (&[b"/x/claude-pool-cli", b"--json", b"ls"], Job::HandOver),
            (&[b"claude-pool", b"--pool-dir", b"/p"], Job::HandOver),
            (&[b"claude-pooled", b"-p"], run(1)),
            (&[b"ccp"], Job::HandOver),
            (&[b"ccp", b"run"], run(2)),
            (&[b"ccp", b"run", b"--help"], run(2)),
            (&[b"ccp", b"run", b"--", b"x"], run(2)),
            (&[b"ccp", b"-p", b"hi"], run(1)),
            (&[b"ccp", b"--resume"], run(1)),
            (&[b"ccp", b"-\xff"], run(1)),
            (&[b"ccp", b"-h"], Job::HandOver),
            (&[b"ccp", b"--version"], Job::HandOver),
            (&[b"ccp", b"status"], Job::HandOver),
            (&[b"ccp", b"\xff"], Job::HandOver),
            (&[b"ccp", b"select"], select(None)),
            (
                &[b"ccp", b"select", b"--account", b"work"],
                select(Some("work")),
            ),
            (
                &[b"ccp", b"select", b"--account=work"],
                select(Some("work")),
            ),
            (&[b"ccp", b"select", b"--account"], Job::HandOver),
            (&[b"ccp", b"select", b"--wait"], Job::HandOver),
            (&[b"ccp", b"select", b"x"], Job::HandOver),
        ];
        for (words, expected) in rows {
            assert_eq!(Arguments::of(words).job(), expected, "{words:?}");
        }
        assert_eq!(Arguments::of(&[]).job(), Job::HandOver);
    }

    #[test]
    fn the_tail_ends_in_null_and_keeps_every_byte() {
        let arguments = Arguments::of(&[b"ccp", b"run", b"", b"a\nb", b"\xff\xfe"]);
        let tail = arguments.tail(2);
        assert_eq!(tail.len(), 4);
        assert!(tail[3].is_null());
        assert_eq!(arguments.get(4).map(CStr::to_bytes), Some(&b"\xff\xfe"[..]));
        assert_eq!(Arguments::of(&[b"ccp"]).tail(5).len(), 1);
    }
}
