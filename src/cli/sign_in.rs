//! The sign-in that `ccp add` and `ccp login` share: claude's own, in this terminal or in another one, judged by the
//! identity, the credential and claude's own word. Reads no secret.

use super::claude::{environment_for, find_claude};
use super::context::Context;
use super::env::quote;
use super::failure::Failure;
use super::prompt::{Prompt, interrupted, nobody_to_ask};
use crate::adapters::agent::login::{Login, Outcome, PATIENCE};
use crate::adapters::agent::{Environment, auth};
use crate::adapters::creds::{self, Presence};
use crate::adapters::files::{Lock, create_private_dir};
use crate::adapters::procs::interrupt::Interrupts;
use crate::adapters::store::{Account, Store};
use crate::contract::exit;
use crate::contract::paths::{Base, Home, claude_json};
use crate::contract::snapshot::FileStamp;
use crate::core::account::AccountId;
use crate::core::claude_json::identity::Identity;
use crate::daemon::roster::identity_of;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// How the person wants to sign in.
#[derive(Debug)]
pub enum Place<'a> {
    /// In this terminal, without a question.
    Here,
    /// Asked.
    Ask(&'a mut Prompt),
}

/// The place that a command line and a terminal lead to.
pub fn place<'a>(
    here: bool,
    prompt: Option<&'a mut Prompt>,
    command: &str,
) -> Result<Place<'a>, Failure> {
    match prompt {
        _ if here => Ok(Place::Here),
        Some(prompt) => Ok(Place::Ask(prompt)),
        None => {
            let hint = format!("`{command} --run-login` signs in without a question");
            Err(nobody_to_ask("a sign-in needs to know where", &hint))
        }
    }
}

/// One account being signed in. Nobody else signs in to it meanwhile.
#[derive(Debug)]
pub struct SignIn {
    home: Home,
    id: AccountId,
    dir: PathBuf,
    claude: PathBuf,
    environment: Environment,
    email: Option<String>,
    _lock: Lock,
}

impl SignIn {
    /// Takes hold of an account; none when somebody else signs in to it at this moment.
    pub fn take(context: &Context, account: &Account) -> Result<Option<Self>, Failure> {
        let claude = find_claude(&context.user_home)?;
        let Some(lock) = hold(&context.home, account.id)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            home: context.home.clone(),
            id: account.id,
            environment: environment_for(&account.config_dir),
            dir: account.config_dir.clone(),
            claude,
            email: account.identity.as_ref().and_then(|i| i.email.clone()),
            _lock: lock,
        }))
    }

    /// The identity of a subscription that is signed in there already; none when there is none.
    #[must_use]
    pub fn present(&self) -> Option<Identity> {
        let identity = identity_of(&self.dir)?;
        self.credential()?;
        let status = auth::status(&self.claude, &self.dir, &self.environment, auth::PATIENCE);
        status.ok()?.is_subscription().then_some(identity)
    }

    fn credential(&self) -> Option<FileStamp> {
        match creds::presence(&self.home, self.id) {
            Presence::Present(stamp) => Some(stamp),
            Presence::Absent | Presence::Unknown => None,
        }
    }

    /// Signs in and returns whose login it is. What is there after a failure stays there.
    pub fn run(&self, place: &mut Place<'_>) -> Result<Identity, Failure> {
        let credential = || self.credential();
        let login = Login {
            claude: &self.claude,
            account_dir: &self.dir,
            environment: &self.environment,
            email: self.email.as_deref(),
            credential: &credential,
            patience: PATIENCE,
        };
        let baseline = login.baseline();
        let here = match place {
            Place::Here => true,
            Place::Ask(prompt) => self.ask_where(prompt).map_err(|f| self.broken_off(f))?,
        };
        let outcome = if here {
            eprintln!(
                "signing in {} here, for at most {} min; Ctrl-C breaks it off",
                self.id,
                PATIENCE.as_secs() / 60
            );
            login.in_this_terminal(&baseline)
        } else {
            let interrupts = Interrupts::catch()
                .map_err(|e| Failure::new(format!("cannot wait for signals: {e}")))?;
            let mut spinner = Spinner::new(self.id);
            let outcome = login.elsewhere(&baseline, || match interrupts.seen() {
                Some(_) => ControlFlow::Break(()),
                None => spinner.turn(),
            });
            spinner.clear();
            if interrupts.seen().is_some() {
                return Err(self.broken_off(interrupted(&interrupts)));
            }
            outcome
        };
        self.judged(outcome.map_err(|e| self.broken_off(Failure::new(e)))?)
    }

    fn ask_where(&self, prompt: &mut Prompt) -> Result<bool, Failure> {
        let question = format!("Where do you want to sign in {}?", self.id);
        let options = [
            "here",
            "in another terminal or browser profile: print the command",
        ];
        if prompt.choose(&question, &options)? == 0 {
            return Ok(true);
        }
        prompt.say(&self.command());
        Ok(false)
    }

    /// The command for another terminal. The full path of claude, since the plain word may mean ccp there.
    fn command(&self) -> String {
        format!(
            "  CLAUDE_CONFIG_DIR={} {} auth login",
            quote(&self.dir, true),
            quote(&self.claude, false)
        )
    }

    fn judged(&self, outcome: Outcome) -> Result<Identity, Failure> {
        let id = self.id;
        match outcome {
            Outcome::Complete { identity, .. } => {
                // The fuller reading of the same file; it may have been replaced in this very moment.
                Ok(identity_of(&self.dir).unwrap_or(Identity {
                    account_uuid: identity.account_uuid,
                    organization_uuid: identity.organization_uuid,
                    organization_name: identity.organization_name,
                    email: identity.email,
                    ..Identity::default()
                }))
            }
            Outcome::NotASubscription { .. } => Err(Failure::new(format!(
                "{id} was signed in with an API or console login, which has no plan to spread"
            ))
            .hint("run the same command again and choose the Claude subscription")),
            Outcome::Cancelled => {
                let code = exit::INTERRUPTED;
                Err(self.broken_off(
                    Failure::new(format!("the sign-in of {id} was broken off")).code(code),
                ))
            }
            Outcome::Failed { .. } => {
                let error = format!("claude could not sign in {id}; its own message is above");
                Err(self.broken_off(Failure::new(error)))
            }
            Outcome::TimedOut => {
                let minutes = PATIENCE.as_secs() / 60;
                let error = format!("nobody signed in {id} within {minutes} min");
                Err(self.broken_off(Failure::new(error)))
            }
        }
    }

    fn broken_off(&self, failure: Failure) -> Failure {
        Failure {
            hint: Some("the directory stays; the same command goes on with it".to_owned()),
            ..failure
        }
    }
}

/// Makes the account's directory, its `.claude.json` and its overlay, as far as they are not there yet.
pub fn prepare(context: &Context, store: &mut Store, account: &Account) -> Result<(), Failure> {
    let dir = &account.config_dir;
    create_private_dir(dir)
        .map_err(|e| Failure::new(format!("cannot make {}: {e}", dir.display())))?;
    let base: Base = context.base()?;
    // A base that cannot be read shares nothing, which is no reason not to sign in.
    if let Err(problem) = crate::adapters::overlay::seed(&base, dir, SEED_PATIENCE) {
        if fs::symlink_metadata(claude_json(dir)).is_err() {
            return Err(Failure::new(problem));
        }
        eprintln!("warning: {problem}");
    }
    super::sync::one_in(context, store, account)
}

/// How long claude's lock on a `.claude.json` is waited for.
const SEED_PATIENCE: Duration = Duration::from_secs(2);

/// Warns where the login is one that counts twice, or is plain claude's own.
pub fn warn_about_twins(context: &Context, store: &Store, id: AccountId) -> Result<(), Failure> {
    let accounts = store.accounts()?;
    let Some(own) = accounts.iter().find(|a| a.id == id) else {
        return Ok(());
    };
    let Some(identity) = &own.identity else {
        return Ok(());
    };
    for other in accounts.iter().filter(|a| a.id != id) {
        if other
            .identity
            .as_ref()
            .is_some_and(|i| is_same(i, identity))
        {
            eprintln!(
                "warning: {id} is the same login as {} ({}): both draw on one plan, so nothing is gained",
                other.label, other.id
            );
        }
    }
    // Only who is signed in there is read; its credential is never touched.
    let plain = fs::read_to_string(Base::default_in(&context.user_home).json)
        .ok()
        .and_then(|text| crate::core::claude_json::identity::identity(&text));
    if plain.is_some_and(|plain| is_same(&plain, identity)) {
        eprintln!(
            "note: {id} is the login that plain `claude` uses, too: what you do there counts against it"
        );
    }
    Ok(())
}

/// Whether two identities draw on one plan.
#[must_use]
pub fn is_same(a: &Identity, b: &Identity) -> bool {
    a.account_uuid == b.account_uuid && a.organization_uuid == b.organization_uuid
}

/// Held by whoever signs in to an account or removes it; none when somebody else does.
pub fn hold(home: &Home, id: AccountId) -> Result<Option<Lock>, Failure> {
    let path = lock_file(home, id);
    create_private_dir(&home.accounts())
        .and_then(|()| Lock::acquire(&path, Duration::ZERO))
        .map_err(|e| Failure::new(format!("cannot lock {}: {e}", path.display())))
}

/// The lock file of [`hold`].
#[must_use]
pub fn lock_file(home: &Home, id: AccountId) -> PathBuf {
    home.accounts().join(format!(".{id}.sign-in"))
}

/// Shows that something is waited for.
struct Spinner {
    text: String,
    turns: usize,
    on_terminal: bool,
}

impl Spinner {
    fn new(id: AccountId) -> Self {
        let minutes = PATIENCE.as_secs() / 60;
        let text = format!(
            "waiting for the sign-in of {id}, for at most {minutes} min; Ctrl-C breaks it off"
        );
        let on_terminal = io::stderr().is_terminal();
        if !on_terminal {
            eprintln!("{text}");
        }
        Self {
            text,
            turns: 0,
            on_terminal,
        }
    }

    fn turn(&mut self) -> ControlFlow<()> {
        const FRAMES: [&str; 4] = ["-", "\\", "|", "/"];
        if self.on_terminal {
            let frame = FRAMES[self.turns % FRAMES.len()];
            let _ = write!(io::stderr(), "\r{frame} {}", self.text);
            self.turns += 1;
        }
        ControlFlow::Continue(())
    }

    fn clear(&self) {
        if self.on_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
