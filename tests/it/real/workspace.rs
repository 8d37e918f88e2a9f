//! One workspace for all accounts: what plain claude and sessions write is seen everywhere, what is put in the place of
//! a link comes home, and nothing of the base changes but what a session of the person's own would have changed.

use super::stage::{PLAIN, Stage, json_of};
use crate::support::put;
use ccp::adapters::files::pause;
use ccp_standin::service::Endpoint;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Entries younger than this are left alone; nobody can set the time of a change back.
const YOUNG: Duration = Duration::from_secs(10);

#[test]
fn servers_and_trust_of_plain_claude_are_seen_under_every_account() {
    let names = ["work", "home"];
    let Some(stage) = Stage::with(&names) else {
        return;
    };
    let add = |scope: &str, name: &str| {
        stage
            .plain(&["mcp", "add", "-s", scope, name, "--", "false"])
            .good();
    };
    add("user", "for-me");
    add("local", "for-this-place");
    let trusted = stage.home.path().join("elsewhere");
    fs::create_dir(&trusted).expect("makes");
    let trusted = trusted.to_string_lossy().into_owned();
    stage.edit(&stage.base_json(), |state| {
        state["projects"][&trusted] = json!({"hasTrustDialogAccepted": true, "lastCost": 9});
    });
    for (number, name) in (1..).zip(names) {
        let list = stage.run_as(name, &["mcp", "list"]).good().stdout;
        for server in ["of-the-base", "for-me", "for-this-place"] {
            assert!(list.contains(&format!("{server}:")), "{name}: {list}");
        }
        let got = stage.run_as(name, &["mcp", "get", "for-this-place"]).good();
        assert!(got.stdout.contains("Local config"), "{got:#?}");
        let state = json_of(&stage.account(number).join(".claude.json"));
        let place = &state["projects"][&trusted];
        assert_eq!(place["hasTrustDialogAccepted"], true, "{place:#}");
        assert_eq!(place["lastCost"], Value::Null, "{place:#}");
    }
}

/// Puts a file in the place of whatever is there, as editors do.
fn replace(path: &Path, text: &str) {
    let half = path.with_extension("half");
    put(&half, text.as_bytes());
    fs::rename(&half, path).expect("replaces");
}

fn age(path: &Path, by: Duration) {
    let file = fs::File::options().append(true).open(path).expect("opens");
    file.set_modified(SystemTime::UNIX_EPOCH + modified(path) - by)
        .expect("sets the time");
}

fn modified(path: &Path) -> Duration {
    let modified = fs::metadata(path).and_then(|m| m.modified());
    let since = modified
        .expect("has a time")
        .duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970")
}

#[test]
fn what_takes_the_place_of_a_link_comes_home_and_nothing_is_lost() {
    let Some(stage) = Stage::with(&["work", "home"]) else {
        return;
    };
    let (work, base) = (stage.account(1), stage.base());
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_default();
    let old_settings = read(base.join("settings.json"));
    // The person's editor saves settings from inside the account's directory: newer than the base's.
    age(&base.join("settings.json"), Duration::from_secs(60));
    let new_settings = json!({"cleanupPeriodDays": 3650, "env": {"EDITED": "yes"}}).to_string();
    replace(&work.join("settings.json"), &new_settings);
    // And notes that are older than the base's.
    replace(&work.join("CLAUDE.md"), "Be long.\n");
    age(&work.join("CLAUDE.md"), Duration::from_secs(600));
    // A session makes files of its own: below a link, and where nothing was before.
    let script = "mkdir -p $CLAUDE_CONFIG_DIR/output-styles && echo terse > $CLAUDE_CONFIG_DIR/output-styles/terse.md \
                  && echo plan > $CLAUDE_CONFIG_DIR/plans/mine.md && echo hey > $CLAUDE_CONFIG_DIR/commands/hey.md";
    let prompt = format!("[[tool:Bash:{script}]]");
    stage
        .run_as("work", &["-p", "--dangerously-skip-permissions", &prompt])
        .good();
    assert_eq!(read(base.join("plans/mine.md")), "plan\n");
    assert_eq!(read(base.join("commands/hey.md")), "hey\n");
    assert!(
        fs::symlink_metadata(work.join("output-styles"))
            .expect("made")
            .is_dir()
    );
    // What is this young may be half of something.
    assert_eq!(read(base.join("settings.json")), old_settings);

    pause(YOUNG + Duration::from_millis(200));
    let said = stage.run_as("work", &["-p", "hi"]).answers("hi").stderr;
    for name in ["settings.json", "CLAUDE.md", "output-styles"] {
        assert!(said.contains(name), "{name} in {said}");
        let link = fs::read_link(work.join(name)).expect("a link again");
        assert_eq!(link, base.join(name));
        assert!(fs::read_link(stage.account(2).join("settings.json")).is_ok());
    }
    assert_eq!(read(base.join("settings.json")), new_settings);
    assert_eq!(read(base.join("settings.json.conflict-1")), old_settings);
    assert_eq!(read(base.join("CLAUDE.md")), "Be brief.\n");
    assert_eq!(read(base.join("CLAUDE.md.conflict-1")), "Be long.\n");
    assert_eq!(read(base.join("output-styles/terse.md")), "terse\n");
    stage.run_as("home", &["-p", "ho"]).answers("ho");
    assert_eq!(
        read(stage.account(2).join("output-styles/terse.md")),
        "terse\n"
    );
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Directory(u32),
    Link(PathBuf),
    File(u32, Vec<u8>),
}

/// Everything below a directory, by its path from there.
fn tree(root: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("lists") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("is there");
            let mode = metadata.permissions().mode();
            let entry = if metadata.is_symlink() {
                Entry::Link(fs::read_link(&path).expect("a link"))
            } else if metadata.is_dir() {
                open.push(path.clone());
                Entry::Directory(mode)
            } else {
                Entry::File(mode, fs::read(&path).expect("reads"))
            };
            let name = path.strip_prefix(root).expect("below");
            found.insert(name.to_string_lossy().into_owned(), entry);
        }
    }
    found
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries
        .map(|entry| name(entry.expect("an entry")))
        .collect()
}

/// Where sessions of the person's own write, too: conversations, what was typed, what a session keeps of itself.
const WRITTEN_BY_SESSIONS: &[&str] = &[
    "projects",
    "history.jsonl",
    "sessions",
    "session-env",
    "shell-snapshots",
    "file-history",
    "todos",
    "tasks",
    "plans",
    "paste-cache",
    "image-cache",
    "plugins",
];

#[test]
fn nothing_of_the_base_changes_but_what_sessions_write() {
    let names = ["work", "home"];
    let Some(stage) = Stage::open() else { return };
    let base_before = tree(&stage.base());
    let json_before = fs::read(stage.base_json()).expect("reads");
    let home_before = entries(stage.home.path());
    let service = &stage.standin.service;
    for name in names {
        stage.add(name);
    }
    for (number, name) in names.iter().enumerate() {
        let prompt = format!("under {name}");
        stage.run_as(name, &["-p", &prompt]).answers(&prompt);
        stage.was_asked_by(&prompt, name);
        // Servers and logins of the session's own account.
        let server = format!("of-{number}");
        stage
            .run_as(name, &["mcp", "add", "-s", "user", &server, "--", "false"])
            .good();
        stage.run_as(name, &["auth", "status"]).good();
    }
    stage.ccp(&["refresh", "--all"]).good();
    stage.ccp(&["sync"]).good();
    stage.run_as("home", &["auth", "logout"]).good();
    assert_eq!(stage.wait_for_quiet(), []);

    assert!(
        json_before == fs::read(stage.base_json()).expect("reads"),
        "~/.claude.json changed"
    );
    let base_after = tree(&stage.base());
    let names_of: Vec<&String> = base_before.keys().chain(base_after.keys()).collect();
    for name in names_of {
        let top = name.split('/').next().expect("a part");
        if WRITTEN_BY_SESSIONS.contains(&top) {
            // There may be more than before, but what was there is still there.
            let kept = match (base_before.get(name), base_after.get(name)) {
                (Some(Entry::File(mode, text)), Some(Entry::File(now, longer))) => {
                    mode == now && longer.starts_with(text)
                }
                (Some(before), now) => Some(before) == now,
                (None, _) => true,
            };
            assert!(kept, "{name} lost something");
        } else {
            assert!(
                base_before.get(name) == base_after.get(name),
                "{name} changed"
            );
        }
    }
    let mut born = entries(stage.home.path());
    born.retain(|name| !home_before.contains(name));
    // What claude keeps outside its config directory, which is the same for plain claude.
    born.retain(|name| ![".cache", ".local", "hook.log"].contains(&name.as_str()));
    assert_eq!(born, [".cc-pool"]);
    // No login of an account has left its directory.
    for (name, entry) in &base_after {
        let Entry::File(_, text) = entry else {
            continue;
        };
        let has = |needle: &[u8]| text.windows(needle.len()).any(|w| w == needle);
        let login = name == ".credentials.json";
        assert!(login || !has(b"sk-ant-o"), "a token in {name}");
    }
    let requests = service.requests();
    let as_plain = requests
        .iter()
        .find(|r| r.account.as_deref() == Some(PLAIN));
    assert!(as_plain.is_none(), "{as_plain:?}");
    let unknown = requests.iter().find(|r| r.endpoint == Endpoint::Unknown);
    assert!(unknown.is_none(), "{unknown:?}");

    // Plain claude is still itself.
    let status = stage.plain(&["auth", "status"]).good().stdout;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["email"], "plain@example.test");
    stage.plain(&["-p", "as ever"]).answers("as ever");
    stage.was_asked_by("as ever", PLAIN);
    for record in service.requests().iter().skip(requests.len()) {
        let who = record.account.as_deref();
        assert!(who.is_none_or(|who| who == PLAIN), "{record:?}");
    }
    assert_eq!(service.double_spends(), 0);
}

#[test]
fn settings_of_a_session_give_way_one_way_and_reach_everybody_two_ways() {
    let Some(stage) = Stage::with(&["work", "home"]) else {
        return;
    };
    let servers = |file: PathBuf| {
        let servers = json_of(&file)["mcpServers"].clone();
        let mut names: Vec<String> = servers
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        names.sort();
        names.join(" ")
    };
    let own = |number: u16| stage.account(number).join(".claude.json");
    let add = ["mcp", "add", "-s", "user", "mine", "--", "false"];
    stage.run_as("work", &add).good();
    assert_eq!(servers(own(1)), "mine of-the-base");
    assert_eq!(servers(stage.base_json()), "of-the-base");
    // The base changes, and what the person has there is what counts: said once, by the launch that does it.
    stage
        .plain(&["mcp", "add", "-s", "user", "other", "--", "false"])
        .good();
    let said = stage.run_as("work", &["-p", "hi"]).answers("hi").stderr;
    let named = |said: &str| said.matches("mcpServers").count();
    assert_eq!(named(&said), 1, "{said}");
    assert_eq!(servers(own(1)), "of-the-base other");
    let said = stage.run_as("work", &["-p", "ho"]).answers("ho").stderr;
    assert_eq!(named(&said), 0, "{said}");

    stage.configure("[overlay]\nsettings = \"two-way\"\n");
    stage.ccp(&["sync"]).good();
    stage.run_as("work", &add).good();
    stage.edit(&own(1), |state| state["editorMode"] = json!("vim"));
    stage.run_as("work", &["-p", "he"]).answers("he");
    let everywhere = "mine of-the-base other";
    assert_eq!(servers(stage.base_json()), everywhere);
    assert_eq!(json_of(&stage.base_json())["editorMode"], "vim");
    stage.run_as("home", &["-p", "ha"]).answers("ha");
    assert_eq!(servers(own(2)), everywhere);
    assert_eq!(json_of(&own(2))["editorMode"], "vim");
    let identity = |file: PathBuf| json_of(&file)["oauthAccount"]["emailAddress"].clone();
    assert_eq!(identity(stage.base_json()), "plain@example.test");
    assert_eq!(identity(own(1)), "work@example.test");
    assert_eq!(
        json_of(&stage.base_json())["unknownToEverybody"],
        json!({"kept": [1, 2]})
    );
}

#[test]
fn the_demo_runs_the_real_client_and_leaves_nothing_behind() {
    let Some(stage) = Stage::open() else { return };
    let output = stage.ccp(&["demo", "--real"]).good();
    for part in [
        "Selected work",
        "simulated answer to: and one more",
        "Selected home",
    ] {
        assert!(output.stdout.contains(part), "{part} in {output:#?}");
    }
    assert_eq!(stage.wait_for_quiet(), []);
    let left: Vec<_> = fs::read_dir(stage.home.path().join("tmp"))
        .expect("lists")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.as_bytes().starts_with(b"ccp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
