//! Signing in, done by claude itself: `claude auth login` in this terminal, or by the person in another one while this
//! waits. A login is complete when the account's own identity is there, its credential is new, and claude calls it a
//! subscription login: its exit code alone says little (0 also after a SIGINT), and a console login writes an
//! identity too.

use super::auth::{self, AuthError, AuthStatus};
use super::identity::{self, Identity};
use super::process::{Agent, Environment};
use crate::adapters::files::pause;
use crate::adapters::procs::terminal::{HeldInterrupts, SavedTerminal};
use crate::contract::snapshot::FileStamp;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long a sign-in is waited for: the person may have to find a password, and claude itself waits for ever.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(300);
/// Between two questions to claude while the files look complete and claude does not confirm it.
const CONFIRM: Duration = Duration::from_secs(2);
/// From complete files to claude's own end, which takes 0.2 s; then it is asked to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// What was there before, to tell a new login from the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Who was signed in.
    pub identity: Option<Identity>,
    /// The stamp of the credential.
    pub credential: Option<FileStamp>,
    /// Whether that login was good, or could not be told from a good one.
    pub was_logged_in: bool,
}

/// A sign-in to be made.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The claude executable.
    pub claude: &'a Path,
    /// The account's directory.
    pub account_dir: &'a Path,
    /// The account's environment.
    pub environment: &'a Environment,
    /// Suggested to the service's page.
    pub email: Option<&'a str>,
    /// The stamp of the account's credential, read without its secret; none while there is none or an empty one.
    pub credential: &'a dyn Fn() -> Option<FileStamp>,
    /// At most this long.
    pub patience: Duration,
}

/// How a sign-in ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A subscription is signed in.
    Complete {
        /// Who.
        identity: Identity,
        /// In claude's words.
        status: AuthStatus,
    },
    /// Somebody is, with an API key or a console login, which ccp has no use for.
    NotASubscription {
        /// In claude's words.
        status: AuthStatus,
    },
    /// The person broke it off. What is there stays, so that another try resumes.
    Cancelled,
    /// claude gave up, and said why on the terminal.
    Failed {
        /// Its exit code; none when a signal ended it.
        code: Option<i32>,
    },
    /// Nobody signed in in time.
    TimedOut,
}

/// Why a sign-in could not be made or judged.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// claude could not be started.
    #[error("cannot start {}: {source}", path.display())]
    Start {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files are complete and claude does not say whose login it is.
    #[error("cannot confirm the sign-in: {0}")]
    Unconfirmed(#[from] AuthError),
}

impl Login<'_> {
    /// What is there now. Taken before a sign-in begins, also before the person is told to begin one elsewhere.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        let identity = identity::load(self.account_dir).identity;
        let was_logged_in =
            identity.is_some() && self.status().map_or(true, |status| status.logged_in);
        // After the question: its answer may have renewed the login.
        Baseline {
            identity: identity::load(self.account_dir).identity,
            credential: (self.credential)(),
            was_logged_in,
        }
    }

    /// Runs claude's sign-in in this terminal and waits for its end. Ctrl-C goes to claude and ends the sign-in, not
    /// this process; the terminal is as before afterwards.
    pub fn in_this_terminal(&self, baseline: &Baseline) -> Result<Outcome, LoginError> {
        let mut terminal = SavedTerminal::take();
        let interrupts = HeldInterrupts::hold();
        let mut command = self
            .environment
            .clone()
            .with("DISABLE_AUTOUPDATER", "1")
            .command(self.claude);
        command
            .args(["auth", "login"])
            .current_dir(self.account_dir);
        if let Some(email) = self.email {
            command.args(["--email", email]);
        }
        // What claude says there is talk, and our standard output may be somebody's data.
        if !io::stdout().is_terminal() {
            command.stdout(io::stderr());
        }
        let mut agent = Agent::start_inherited(command, self.account_dir).map_err(|source| {
            LoginError::Start {
                path: self.claude.to_owned(),
                source,
            }
        })?;
        let exit = self.wait_for_exit(&mut agent, baseline);
        if exit.is_none() {
            agent.end();
            if let Some(terminal) = &mut terminal {
                terminal.calm();
            }
        }
        let interrupted = interrupts.seen();
        drop(terminal);
        self.judge(baseline, exit, interrupted)
    }

    /// None when it had to be ended: the time is over, or its work was done and it stayed.
    fn wait_for_exit(&self, agent: &mut Agent, baseline: &Baseline) -> Option<ExitStatus> {
        let deadline = Instant::now() + self.patience;
        let mut complete_since = None;
        loop {
            let now = Instant::now();
            if let Some(exit) = agent.wait((now + LOOK).min(deadline)) {
                return Some(exit);
            }
            if self.new_login(baseline).is_none() {
                complete_since = None;
            } else if now - *complete_since.get_or_insert(now) >= FAREWELL {
                return None;
            }
            if now >= deadline {
                return None;
            }
        }
    }

    /// The identity of a login that was not there before, by the files alone. A credential with another stamp is not
    /// enough beside a good old login: any start of claude may write it anew.
    fn new_login(&self, baseline: &Baseline) -> Option<Identity> {
        let identity = self.written_login(baseline)?;
        let is_new = match &baseline.identity {
            Some(before) if baseline.was_logged_in && before.is_same_account(&identity) => {
                identity.profile_fetched_at_ms != before.profile_fetched_at_ms
            }
            _ => true,
        };
        is_new.then_some(identity)
    }

    /// The identity there, when the credential was written since.
    fn written_login(&self, baseline: &Baseline) -> Option<Identity> {
        let credential = (self.credential)()?;
        let identity = identity::load(self.account_dir).identity?;
        (baseline.credential != Some(credential)).then_some(identity)
    }

    fn status(&self) -> Result<AuthStatus, AuthError> {
        auth::status(
            self.claude,
            self.account_dir,
            self.environment,
            auth::PATIENCE,
        )
    }

    /// What claude says about files that look like a login; none when they are not one yet.
    fn confirm(&self, new_login: Option<Identity>) -> Result<Option<Outcome>, AuthError> {
        let status = self.status()?;
        // Written while claude was asked: the next look knows better.
        let now = identity::load(self.account_dir).identity;
        Ok(match (new_login, now) {
            (Some(before), Some(identity)) if status.is_subscription() => before
                .is_same_account(&identity)
                .then_some(Outcome::Complete { identity, status }),
            _ if status.logged_in && !status.is_subscription() => {
                Some(Outcome::NotASubscription { status })
            }
            _ => None,
        })
    }

    fn judge(
        &self,
        baseline: &Baseline,
        exit: Option<ExitStatus>,
        interrupted: bool,
    ) -> Result<Outcome, LoginError> {
        // Before claude is asked: its answer may renew the login, and then the credential is new in any case.
        let finished = exit.is_some_and(|exit| exit.success()) && !interrupted;
        let new_login = if finished {
            self.written_login(baseline)
        } else {
            self.new_login(baseline)
        };
        let wrote_identity = identity::load(self.account_dir).identity.is_some();
        if (new_login.is_some() || wrote_identity)
            && let Some(outcome) = self.confirm(new_login)?
        {
            return Ok(outcome);
        }
        let Some(exit) = exit else {
            return Ok(Outcome::TimedOut);
        };
        // claude ends with 0 after a SIGINT and with 130 after a Ctrl-C that it read itself.
        let broken_off = interrupted || exit.success() || matches!(exit.code(), Some(130));
        Ok(if broken_off {
            Outcome::Cancelled
        } else {
            Outcome::Failed { code: exit.code() }
        })
    }

    /// Waits for a sign-in that the person makes in another terminal. `look` is called a few times a second, for a
    /// spinner, and breaks off when it says so.
    pub fn elsewhere(
        &self,
        baseline: &Baseline,
        mut look: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Outcome, LoginError> {
        let deadline = Instant::now() + self.patience;
        let mut asked: Option<Instant> = None;
        loop {
            if look().is_break() {
                return Ok(Outcome::Cancelled);
            }
            let now = Instant::now();
            let may_ask = asked.is_none_or(|at| now - at >= CONFIRM);
            if may_ask {
                let new_login = self.new_login(baseline);
                if new_login.is_some() || self.has_other_identity(baseline) {
                    asked = Some(now);
                    if let Some(outcome) = self.confirm(new_login)? {
                        return Ok(outcome);
                    }
                }
            }
            if now >= deadline {
                return Ok(Outcome::TimedOut);
            }
            pause(LOOK.min(deadline - now));
        }
    }

    /// Whether there is another identity than before. A console login has no credential of our kind, only that.
    fn has_other_identity(&self, baseline: &Baseline) -> bool {
        let identity = identity::load(self.account_dir).identity;
        identity.is_some() && identity != baseline.identity
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write scripts that play claude, and what these write"
)]
mod tests {
    use super::*;
    use crate::contract::paths::account_credential;
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    struct Place {
        dir: tempfile::TempDir,
        environment: Environment,
    }

    /// Lets a pretend claude write a whole login.
    const SIGN_IN: &str = r#"echo '{"oauthAccount":{"accountUuid":"u2"}}' > .claude.json; echo '{"claudeAiOauth":{"accessToken":"x"}}' > n; mv n .credentials.json"#;
    const SUBSCRIPTION: &str =
        r#"echo '{"loggedIn":true,"authMethod":"claude.ai","subscriptionType":"max"}'"#;
    const CONSOLE: &str = r#"echo '{"loggedIn":true,"authMethod":"api_key"}'"#;
    const NOBODY: &str = r#"echo '{"loggedIn":false,"authMethod":"none"}'; exit 1"#;

    impl Place {
        /// A pretend claude that does this for `auth login` and that for `auth status`.
        fn new(login: &str, status: &str) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let script = format!(
                "#!/bin/sh\nexec 3>&1 >/dev/null\ncase \"$2\" in login) {login};; status) exec >&3; {status};; esac\n"
            );
            fs::write(dir.path().join("claude"), script).expect("writes");
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(dir.path().join("claude"), mode).expect("sets");
            fs::create_dir(dir.path().join("acct")).expect("creates");
            let path = [("PATH".into(), "/usr/bin:/bin".into())];
            let environment = Environment::for_account(path, &dir.path().join("acct"));
            Self { dir, environment }
        }

        fn account(&self) -> PathBuf {
            self.dir.path().join("acct")
        }

        fn with_old_login(self) -> Self {
            let identity = r#"{"oauthAccount":{"accountUuid":"u1"}}"#;
            fs::write(self.account().join(".claude.json"), identity).expect("writes");
            let login = r#"{"claudeAiOauth":{"accessToken":"old"}}"#;
            fs::write(account_credential(&self.account()), login).expect("writes");
            self
        }

        fn credential(&self) -> Option<FileStamp> {
            let metadata = fs::metadata(account_credential(&self.account())).ok()?;
            (metadata.len() > 3).then(|| FileStamp {
                inode: metadata.ino(),
                len: metadata.len(),
                modified_ns: crate::adapters::files::modified_ns(&metadata),
            })
        }

        fn with_login<T>(&self, patience: Duration, act: impl FnOnce(&Login<'_>) -> T) -> T {
            let claude = self.dir.path().join("claude");
            act(&Login {
                claude: &claude,
                account_dir: &self.account(),
                environment: &self.environment,
                email: Some("me@example.test"),
                credential: &|| self.credential(),
                patience,
            })
        }

        fn here(&self) -> String {
            self.with_login(Duration::from_secs(20), |login| {
                shown(login.in_this_terminal(&login.baseline()))
            })
        }
    }

    fn shown(outcome: Result<Outcome, LoginError>) -> String {
        match outcome {
            Ok(Outcome::Complete { identity, .. }) => format!("complete {}", identity.account_uuid),
            Ok(Outcome::NotASubscription { .. }) => "not a subscription".into(),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_sign_in_is_complete_with_identity_credential_and_plan() {
        let identity_only = r#"echo '{"oauthAccount":{"accountUuid":"u2"}}' > .claude.json"#;
        let empty = format!("{identity_only}; echo '{{}}' > .credentials.json");
        let rows = [
            (SIGN_IN, SUBSCRIPTION, "complete u2"),
            (SIGN_IN, CONSOLE, "not a subscription"),
            (identity_only, CONSOLE, "not a subscription"),
            (identity_only, NOBODY, "Cancelled"),
            (&empty, NOBODY, "Cancelled"),
            ("true", NOBODY, "Cancelled"),
            ("exit 130", NOBODY, "Cancelled"),
            ("exit 1", NOBODY, "Failed { code: Some(1) }"),
            (
                SIGN_IN,
                "echo garbage",
                "cannot confirm the sign-in: `claude auth status` gave no answer that can be read",
            ),
        ];
        for (login, status, expected) in rows {
            assert_eq!(Place::new(login, status).here(), expected, "{login}");
        }
    }

    #[test]
    fn leaving_the_old_login_as_it_is_is_no_sign_in() {
        let rows = [
            ("true", SUBSCRIPTION, "Cancelled"),
            ("exit 1", SUBSCRIPTION, "Failed { code: Some(1) }"),
            (SIGN_IN, SUBSCRIPTION, "complete u2"),
        ];
        for (login, status, expected) in rows {
            let place = Place::new(login, status).with_old_login();
            assert_eq!(place.here(), expected, "{login}");
        }
    }

    #[test]
    fn a_claude_that_stays_is_ended_when_the_time_is_over() {
        let place = Place::new("exec sleep 600", NOBODY);
        let outcome = place.with_login(Duration::from_millis(100), |login| {
            shown(login.in_this_terminal(&login.baseline()))
        });
        assert_eq!(outcome, "TimedOut");
    }

    #[test]
    fn a_sign_in_elsewhere_is_seen() {
        let place = Place::new("true", SUBSCRIPTION).with_old_login();
        let looks = Cell::new(0);
        let outcome = place.with_login(Duration::from_secs(20), |login| {
            let baseline = login.baseline();
            let act = || {
                looks.set(looks.get() + 1);
                if looks.get() == 2 {
                    // What claude does there, in its order.
                    let dir = place.account();
                    fs::write(account_credential(&dir), "{}").expect("writes");
                    fs::write(dir.join(".claude.json"), "{}").expect("writes");
                } else if looks.get() == 3 {
                    let login = r#"{"claudeAiOauth":{"accessToken":"new"}}"#;
                    fs::write(account_credential(&place.account()), login).expect("writes");
                } else if looks.get() == 4 {
                    let identity = r#"{"oauthAccount":{"accountUuid":"u3"}}"#;
                    fs::write(place.account().join(".claude.json"), identity).expect("writes");
                }
                ControlFlow::Continue(())
            };
            shown(login.elsewhere(&baseline, act))
        });
        assert_eq!((outcome.as_str(), looks.get()), ("complete u3", 4));
    }

    #[test]
    fn waiting_ends_when_the_person_or_the_clock_says_so() {
        let place = Place::new("true", SUBSCRIPTION).with_old_login();
        let wait = |patience: u64, broken: ControlFlow<()>| {
            place.with_login(Duration::from_millis(patience), |login| {
                shown(login.elsewhere(&login.baseline(), || broken))
            })
        };
        assert_eq!(wait(60_000, ControlFlow::Break(())), "Cancelled");
        assert_eq!(wait(10, ControlFlow::Continue(())), "TimedOut");
    }
}
