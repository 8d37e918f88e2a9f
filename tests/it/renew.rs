//! Direct renewal against the simulated service, whose refresh tokens are good for one use: what is spent, what is
//! written, what stays, and what a kill at any step costs.

use ccp::adapters::claude_api::ApiBase;
use ccp::adapters::clock;
use ccp::adapters::creds::renew::{self, Outlook, Step};
use ccp::adapters::simulated::{AccountSpec, AccountTokens, Endpoint, Fault, Service};
use ccp::contract::paths::{Home, account_credential};
use ccp::core::account::AccountId;
use ccp::core::time::Timestamp;
use ccp::daemon::renew::{DUE, Renewed, renew_one};
use ccp_standin::Running;
use serde_json::Value;
use std::fs::{self, File, FileTimes};
use std::io::Read;
#[cfg(target_os = "linux")]
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use crate::overlay::disks::with_small_disk;
use crate::support::put;

/// For a process that only computes.
const BOUND: Duration = Duration::from_secs(30);
/// What a victim is told: the home, the service, the step at which it is to stay.
const VICTIM: [&str; 3] = ["CCP_TEST_HOME", "CCP_TEST_SERVICE", "CCP_TEST_STEP"];

/// A home with one account whose access token is about to end.
struct World {
    service: Service,
    root: PathBuf,
    home: Home,
    _dir: Option<TempDir>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut world = Self::at(dir.path());
        world._dir = Some(dir);
        world
    }

    fn at(root: &Path) -> Self {
        let service = Service::start().expect("starts");
        let tokens = service.add_account(AccountSpec::new("work"));
        let home = Home::new(&root.join("home")).expect("absolute");
        let world = Self {
            service,
            root: root.to_owned(),
            home,
            _dir: None,
        };
        fs::create_dir_all(world.dir()).expect("creates");
        world.write(&blob(&tokens, soon()));
        world
    }

    fn account() -> AccountId {
        AccountId::new(1).expect("1")
    }

    fn dir(&self) -> PathBuf {
        self.home.account(Self::account())
    }

    fn credential(&self) -> PathBuf {
        account_credential(&self.dir())
    }

    fn write(&self, text: &str) {
        put(&self.credential(), text.as_bytes());
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.credential(), private).expect("sets the mode");
    }

    fn text(&self) -> String {
        fs::read_to_string(self.credential()).expect("reads")
    }

    fn login(&self) -> Value {
        let stored: Value = serde_json::from_str(&self.text()).expect("JSON");
        stored["claudeAiOauth"].clone()
    }

    fn oauth(&self) -> ApiBase {
        ApiBase::parse(&self.service.url()).expect("a base")
    }

    fn renew(&self) -> Renewed {
        self.renew_watched(&|_| ())
    }

    fn renew_watched(&self, watch: &dyn Fn(Step)) -> Renewed {
        renew_one(
            &self.home,
            Self::account(),
            &self.oauth(),
            &clock::now,
            watch,
        )
    }

    fn outlook(&self) -> Outlook {
        renew::outlook(&self.home, Self::account()).expect("reads")
    }

    /// Every name in the account's directory and beside it.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = [self.dir(), self.home.accounts()]
            .iter()
            .flat_map(|dir| fs::read_dir(dir).expect("lists"))
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// That a renewal left the credential alone in its directory, readable for its owner only.
    fn is_clean(&self) {
        assert_eq!(self.names(), [".credentials.json", "acct-01"]);
        let mode = fs::metadata(self.credential())
            .expect("is there")
            .permissions();
        assert_eq!(mode.mode() & 0o7777, 0o600);
    }

    /// Lets the locks of somebody who died grow old.
    fn a_minute_passes(&self) {
        for lock in [
            self.dir().join(".oauth_refresh.lock"),
            self.dir().join(".storage-write.lock"),
            self.home.accounts().join("acct-01.lock"),
        ] {
            if let Ok(dir) = File::open(&lock) {
                dir.set_times(FileTimes::new().set_modified(UNIX_EPOCH))
                    .expect("ages");
            }
        }
    }

    fn kill_at(&self, step: Step) {
        kill_at(&self.home, &self.service.url(), step);
    }
}

/// Runs a renewal of the first account in a process of its own and kills it at this step.
pub fn kill_at(home: &Home, service: &str, step: Step) {
    let mut command = Command::new(std::env::current_exe().expect("has a path"));
    command.args(["--exact", "renew::the_victim_of_other_tests", "--nocapture"]);
    let told = [
        home.path().to_string_lossy().into_owned(),
        service.to_owned(),
        format!("{step:?}"),
    ];
    command.envs(VICTIM.into_iter().zip(told));
    let mut victim = Running::start(command).expect("starts");
    let reached = victim.wait_for_line(|line| line.ends_with("reached"), BOUND);
    assert!(reached.is_some(), "{step:?} is reached");
    victim.signal("KILL");
    assert_eq!(victim.output(BOUND).expect("ends").code, 137);
}

fn soon() -> u64 {
    ms(clock::now().plus(Duration::from_secs(100)))
}

fn ms(at: Timestamp) -> u64 {
    u64::try_from(at.unix_ms()).expect("after 1970")
}

/// A credential as claude keeps it, and as only a person could have spelled it.
fn blob(tokens: &AccountTokens, expires_at: u64) -> String {
    format!(
        "{{ \"mcpOAuth\": {{\"server|1\":{{\"accessToken\":\"mcp\", \"n\":1.50e1}}}},\n \"claudeAiOauth\" : {{\"accessToken\":\"{}\",\
         \"refreshToken\":\"{}\",  \"expiresAt\":{expires_at},\"scopes\":[\"user:profile\",\"user:inference\",\
         \"user:sessions:claude_code\",\"user:mcp_servers\",\"user:file_upload\"],\"unknown\":[ null ]}}}}\n",
        tokens.access, tokens.refresh
    )
}

#[test]
fn a_login_is_renewed_openly_and_every_other_byte_stays() {
    let world = World::new();
    let (before, old) = (world.text(), world.login());
    let Renewed::Renewed { expires_at } = world.renew() else {
        panic!("it is due");
    };
    let new = world.login();
    let mut expected = before;
    for key in ["accessToken", "refreshToken", "expiresAt"] {
        assert_ne!(old[key], new[key], "{key}");
        expected = expected.replace(&old[key].to_string(), &new[key].to_string());
    }
    assert_eq!(world.text(), expected);
    assert_eq!(new["expiresAt"], ms(expires_at));
    world.is_clean();
    assert_eq!(
        (world.service.refreshes(), world.service.double_spends()),
        (1, 0)
    );
    let request = world.service.requests().pop().expect("was recorded");
    assert_eq!(request.endpoint, Endpoint::Token);
    assert_eq!(request.grant_type.as_deref(), Some("refresh_token"));
    let agent = request.user_agent.expect("says who asks");
    assert_eq!(agent, concat!("ccp/", env!("CARGO_PKG_VERSION")));
    assert_eq!(world.outlook(), Outlook::EndsAt(expires_at));
    assert_eq!(world.renew(), Renewed::NotNeeded);
}

#[test]
fn what_is_not_due_or_no_login_is_left_alone() {
    let world = World::new();
    let tokens = world.service.sign_in("work");
    let late = ms(clock::now().plus(DUE + Duration::from_secs(30)));
    let nobody = AccountTokens {
        access: String::new(),
        refresh: String::new(),
        expires_at: 0,
    };
    let rows = [
        blob(&tokens, late),
        blob(&nobody, 0),
        "{}".to_owned(),
        r#"{"mcpOAuth":{}}"#.to_owned(),
        blob(&tokens, 7).replace(":7,", ":null,"),
    ];
    for text in rows {
        world.write(&text);
        assert_eq!(world.renew(), Renewed::NotNeeded, "{text}");
        assert_eq!(world.text(), text);
        world.is_clean();
    }
    world.write("{\"claudeAiOauth\":");
    assert!(matches!(
        world.renew(),
        Renewed::Failed { offline: false, .. }
    ));
    world.is_clean();
    assert_eq!(world.service.requests().len(), 0);
}

#[test]
fn only_a_dead_token_is_a_refusal_and_the_login_stays_as_it_is() {
    let world = World::new();
    let before = world.text();
    for fault in [
        Fault::ServerError,
        Fault::Overloaded,
        Fault::Throttled(None),
        Fault::Forbidden,
        Fault::Unauthorized,
    ] {
        world
            .service
            .set_fault("work", Endpoint::Token, fault.clone());
        let renewed = world.renew();
        assert!(
            matches!(renewed, Renewed::Failed { offline: false, .. }),
            "{fault:?}: {renewed:?}"
        );
        world.service.clear_fault("work", Endpoint::Token);
        assert_eq!(world.text(), before);
        world.is_clean();
    }
    let nobody = ApiBase::parse("http://127.0.0.1:9").expect("a base");
    let renewed = renew_one(&world.home, World::account(), &nobody, &clock::now, &|_| ());
    assert!(
        matches!(renewed, Renewed::Failed { offline: true, .. }),
        "{renewed:?}"
    );
    world.service.revoke_refresh("work");
    assert_eq!(world.renew(), Renewed::Refused);
    assert_eq!(world.text(), before);
    world.is_clean();
}

#[test]
fn a_login_that_may_not_have_all_that_claude_asks_for_keeps_what_it_has() {
    let world = World::new();
    let refuse = |times| {
        let fault = Fault::InvalidScope;
        world
            .service
            .set_fault_times("work", Endpoint::Token, fault, times);
    };
    refuse(1);
    assert!(matches!(world.renew(), Renewed::Renewed { .. }));
    world.is_clean();
    let asked: Vec<_> = world.service.requests();
    let scopes: Vec<&str> = asked.iter().filter_map(|r| r.scope.as_deref()).collect();
    let own =
        "user:profile user:inference user:sessions:claude_code user:mcp_servers user:file_upload";
    assert_eq!(scopes, [format!("{own} user:plugins").as_str(), own]);
    assert_eq!(
        (world.service.refreshes(), world.service.double_spends()),
        (1, 0)
    );

    world.write(&blob(&world.service.sign_in("work"), soon()));
    let before = world.text();
    refuse(2);
    let renewed = world.renew();
    assert!(
        matches!(renewed, Renewed::Failed { offline: false, .. }),
        "{renewed:?}"
    );
    assert_eq!((world.text(), world.service.requests().len()), (before, 4));
    world.is_clean();
}

#[test]
fn what_others_write_meanwhile_stands() {
    let world = World::new();
    // Another server's tokens were added while the service was asked.
    let add = |step| {
        if step == Step::Answered {
            world.write(
                &world
                    .text()
                    .replace("{ \"mcpOAuth\"", "{\"new\":1, \"mcpOAuth\""),
            );
        }
    };
    assert!(matches!(world.renew_watched(&add), Renewed::Renewed { .. }));
    assert!(world.text().starts_with("{\"new\":1, \"mcpOAuth\""));
    // Somebody signed in while the service was asked.
    let signed_in = world.service.sign_in("work");
    world.write(&blob(&world.service.sign_in("work"), soon()));
    let other = blob(&signed_in, soon());
    let sign_in = |step| {
        if step == Step::Answered {
            world.write(&other);
        }
    };
    assert_eq!(world.renew_watched(&sign_in), Renewed::NotNeeded);
    assert_eq!(world.text(), other);
    // Somebody signed out.
    let sign_out = |step| {
        if step == Step::Answered {
            fs::remove_file(world.credential()).expect("removes");
        }
    };
    assert_eq!(world.renew_watched(&sign_out), Renewed::NotNeeded);
    assert_eq!(world.names(), ["acct-01"]);
    assert_eq!(world.service.double_spends(), 0);
}

#[test]
fn whoever_holds_a_lock_of_claudes_is_left_alone() {
    let world = World::new();
    let before = world.text();
    let locks = [
        world.dir().join(".oauth_refresh.lock"),
        world.home.accounts().join("acct-01.lock"),
    ];
    for lock in locks {
        fs::create_dir(&lock).expect("somebody renews");
        assert_eq!(world.renew(), Renewed::NotNeeded);
        assert!(lock.is_dir());
        fs::remove_dir(&lock).expect("and is done");
    }
    assert_eq!((world.service.requests().len(), world.text()), (0, before));
    world.is_clean();
}

#[test]
fn many_at_once_spend_one_token() {
    let world = World::new();
    let renewed = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    renew_one(
                        &world.home,
                        World::account(),
                        &world.oauth(),
                        &clock::now,
                        &|_| (),
                    )
                })
            })
            .collect();
        let done = all.into_iter().map(|thread| thread.join().expect("ends"));
        done.filter(|r| matches!(r, Renewed::Renewed { .. }))
            .count()
    });
    assert_eq!(renewed, 1);
    assert_eq!(
        (world.service.refreshes(), world.service.double_spends()),
        (1, 0)
    );
    world.is_clean();
}

#[test]
fn a_link_is_not_renewed() {
    let world = World::new();
    let plain = world.root.join("plain.json");
    fs::rename(world.credential(), &plain).expect("moves");
    symlink(&plain, world.credential()).expect("links");
    let before = fs::read(&plain).expect("reads");
    assert!(matches!(world.renew(), Renewed::Failed { .. }));
    assert_eq!(fs::read(&plain).expect("reads"), before);
    // A link in the way of what we write leads nowhere either.
    fs::remove_file(world.credential()).expect("removes");
    fs::copy(&plain, world.credential()).expect("copies");
    for name in [
        ".credentials.json.tmp.ccp-grant",
        ".credentials.json.tmp.ccp-new",
    ] {
        symlink(&plain, world.dir().join(name)).expect("links");
    }
    let _ = world.renew();
    assert_eq!(fs::read(&plain).expect("reads"), before);
    assert_eq!(world.service.double_spends(), 0);
}

#[test]
fn the_victim_of_other_tests() {
    let told = VICTIM.map(std::env::var_os);
    let [Some(home), Some(service), Some(step)] = told else {
        return;
    };
    let home = Home::new(Path::new(&home)).expect("absolute");
    let oauth = ApiBase::parse(&service.to_string_lossy()).expect("a base");
    let stay = |reached: Step| {
        if format!("{reached:?}") == step.to_string_lossy() {
            println!("\nreached");
            // Until the killer comes, or is gone itself.
            let _ = std::io::stdin().read(&mut [0]);
            panic!("nobody killed it");
        }
    };
    let _ = renew_one(&home, World::account(), &oauth, &clock::now, &stay);
}

#[test]
fn a_kill_at_any_step_but_one_loses_nothing() {
    for (step, survives) in [
        (Step::Locked, true),
        (Step::Reserved, true),
        // The answer is in memory alone: what docs/security.md calls the window.
        (Step::Answered, false),
        (Step::Noted, true),
        (Step::Stored, true),
    ] {
        let world = World::new();
        let before = world.login();
        world.kill_at(step);
        let stored = world.login();
        assert_eq!(stored == before, step != Step::Stored, "{step:?}");
        if matches!(
            step,
            Step::Reserved | Step::Answered | Step::Noted | Step::Stored
        ) {
            assert_eq!(world.outlook(), Outlook::Interrupted, "{step:?}");
        }
        // Its locks are fresh, but on Linux they say that their holder is dead.
        if cfg!(not(target_os = "linux")) {
            world.a_minute_passes();
        }
        let renewed = world.renew();
        match (survives, step) {
            (false, _) => assert_eq!(renewed, Renewed::Refused, "{step:?}"),
            (true, Step::Stored) => assert_eq!(renewed, Renewed::NotNeeded, "{step:?}"),
            (true, _) => assert!(
                matches!(renewed, Renewed::Renewed { .. }),
                "{step:?}: {renewed:?}"
            ),
        }
        let service = &world.service;
        assert_eq!(service.double_spends(), u64::from(!survives), "{step:?}");
        assert_eq!(service.refreshes(), 1, "{step:?}");
        world.is_clean();
        // What is in the store is good for another renewal.
        if survives {
            let expires = world.login()["expiresAt"].to_string();
            world.write(&world.text().replace(&expires, &soon().to_string()));
            assert!(matches!(world.renew(), Renewed::Renewed { .. }), "{step:?}");
        }
    }
}

#[test]
fn a_login_that_claude_blanked_after_a_kill_comes_back() {
    let world = World::new();
    world.kill_at(Step::Noted);
    let login = world.login();
    let mut blanked = world.text();
    for (key, with) in [
        ("accessToken", "\"\""),
        ("refreshToken", "\"\""),
        ("expiresAt", "0"),
    ] {
        blanked = blanked.replace(&login[key].to_string(), with);
    }
    world.write(&blanked);
    world.a_minute_passes();
    assert!(matches!(world.renew(), Renewed::Renewed { .. }));
    assert_eq!(world.service.refreshes(), 1);
    let end = clock::now().plus(Duration::from_secs(3600));
    assert!(matches!(world.outlook(), Outlook::EndsAt(at) if at > end));
    world.is_clean();
    // After signing in anew the old answer counts for nothing.
    world.write(&blob(&world.service.sign_in("work"), soon()));
    world.kill_at(Step::Noted);
    let other = blob(&world.service.sign_in("work"), ms(end));
    world.write(&other);
    world.a_minute_passes();
    assert_eq!(world.renew(), Renewed::NotNeeded);
    assert_eq!(world.text(), other);
    world.is_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_meanwhile_loses_nothing() {
    let Some(given) = with_small_disk("renew::a_disk_that_fills_up_meanwhile_loses_nothing") else {
        return;
    };
    let small = given.join("small");
    let world = World::at(&small);
    let filler = small.join("filler");
    let fill = |step| {
        if step == Step::Reserved {
            let mut file = File::create(&filler).expect("creates");
            while file.write_all(&[0; 512]).is_ok() {}
        }
    };
    let renewed = world.renew_watched(&fill);
    assert!(matches!(renewed, Renewed::Renewed { .. }), "{renewed:?}");
    // On a full disk no token is spent.
    world.write(
        &world
            .text()
            .replace(&world.login()["expiresAt"].to_string(), &soon().to_string()),
    );
    while File::options()
        .append(true)
        .open(&filler)
        .and_then(|mut file| file.write_all(&[0; 512]))
        .is_ok()
    {}
    assert!(matches!(
        world.renew(),
        Renewed::Failed { offline: false, .. }
    ));
    assert_eq!(
        (world.service.refreshes(), world.service.double_spends()),
        (1, 0)
    );
    fs::remove_file(&filler).expect("makes room");
    assert!(matches!(world.renew(), Renewed::Renewed { .. }));
    world.is_clean();
}
