//! `ccp add` and `ccp login`, in every way a person may take.

use super::terminal::{CTRL_C, CTRL_D, Terminal};
use super::world::{BOUND, World, id};
use ccp::contract::paths::account_credential;
use ccp_standin::service::AccountSpec;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).expect("is there");
    metadata.permissions().mode() & 0o777
}

/// The URL that claude shows, after which it takes a code.
fn shown_url(terminal: &mut Terminal) -> String {
    terminal.wait_for("visit: ");
    terminal.wait_for("\r\n").trim().to_owned()
}

fn paste_code(world: &World, terminal: &mut Terminal, account: &str) {
    let url = shown_url(terminal);
    let authorization = world.standin.service.authorize(account, &url);
    let code = authorization.expect("a whole URL").pasted();
    terminal.wait_for("Paste code here");
    terminal.type_text(&format!("{code}\n"));
}

#[test]
fn a_browser_that_comes_back_makes_an_account_that_can_be_picked() {
    let world = World::new().with_browser("jo");
    let stdout = world.ok(&["add", "--run-login", "--no-alias"]);
    assert_eq!(stdout, "acct-01\tjo\n", "nothing else is data");
    let dir = world.account_dir(1);
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&account_credential(&dir)), 0o600);
    assert!(
        dir.join("settings.json").is_symlink(),
        "the overlay is there"
    );
    assert!(dir.join("projects").is_symlink());
    let snapshot = world.snapshot();
    assert!(!snapshot.accounts[0].needs_login);
    assert_eq!(
        snapshot.accounts[0].email.as_deref(),
        Some("jo@example.test")
    );
    assert!(snapshot.accounts[0].sample.is_some(), "its usage is known");
    let selected = world.ok(&["select", "--account", "jo"]);
    assert_eq!(selected, format!("{}\n", dir.display()));
}

#[test]
fn the_real_client_signs_in_and_answers_for_its_usage() {
    let Some(claude) = ccp_standin::require_real_claude() else {
        return;
    };
    let world = World::new().with_browser("jo");
    fs::remove_file(world.bin("claude")).expect("removes");
    std::os::unix::fs::symlink(claude, world.bin("claude")).expect("links");
    let output = world.run(&["add", "-y"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(output.stdout, "acct-01\tjo\n", "nothing else is data");
    let account = &world.snapshot().accounts[0];
    assert!(
        !account.needs_login && account.sample.is_some(),
        "{}",
        output.stderr
    );
    assert_eq!(world.standin.service.double_spends(), 0);
    world.ok(&["remove", "jo", "-y"]);
    assert!(!world.account_dir(1).exists());
}

#[test]
fn a_pasted_code_does_it_too_and_every_question_has_a_default() {
    let world = World::new();
    world.sign_up("jo");
    let file = world.home.path().join("stdout");
    let file = file.to_str().expect("text");
    let mut terminal = Terminal::start(&world, &["add"], Some(file));
    terminal.answer("Choice [1]: ", "\n");
    paste_code(&world, &mut terminal, "jo");
    terminal.answer("Label [jo]: ", "\n");
    terminal.answer("Add another account? [y/N]", "\n");
    terminal.answer("in new shells? [Y/n]", "n\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(fs::read_to_string(file).expect("reads"), "acct-01\tjo\n");
}

#[test]
fn a_label_is_asked_for_until_it_can_be_used() {
    let world = World::new().with_browser("jo");
    world.ok(&["add", "-y", "--label", "taken"]);
    world.sign_up("other");
    world.standin.service.set_next_login(Some("other"));
    let mut terminal = Terminal::start(&world, &["add", "--run-login", "--no-alias"], None);
    terminal.answer("Label [other]: ", "acct-07\n");
    terminal.answer("Label [other]: ", "Taken\n");
    terminal.answer("Label [other]: ", "mine\n");
    terminal.answer("Add another account?", "y\n");
    // The next one begins at once, and is broken off.
    terminal.answer("Label [other]: ", CTRL_D);
    let (code, shown) = terminal.end();
    assert_eq!(code, 130, "{shown}");
    assert!(
        shown.contains("is the same login as mine (acct-02)"),
        "{shown}"
    );
    assert_eq!(
        world.accounts(),
        ["acct-01 taken", "acct-02 mine", "acct-03 other"]
    );
}

#[test]
fn broken_off_at_every_question_it_goes_on_with_the_same_directory() {
    let world = World::new();
    world.sign_up("jo");
    let add = || Terminal::start(&world, &["add", "--no-alias"], None);
    let broken_off = |terminal: Terminal| {
        let (code, shown) = terminal.end();
        assert_eq!(code, 130, "{shown}");
        assert_eq!(world.accounts().len(), 1, "always the same one");
        assert!(world.account_dir(1).is_dir());
        // Nothing that is half there is ever picked.
        assert_eq!(world.run(&["select"]).code, 69);
    };

    let mut terminal = add();
    terminal.answer("Choice [1]: ", CTRL_C);
    broken_off(terminal);

    let mut terminal = add();
    terminal.wait_for("going on with acct-01");
    terminal.answer("Choice [1]: ", "1\n");
    shown_url(&mut terminal);
    terminal.wait_for("Paste code here");
    terminal.type_text(CTRL_C);
    broken_off(terminal);

    let mut terminal = add();
    terminal.answer("Choice [1]: ", "2\n");
    terminal.wait_for("auth login");
    terminal.answer("waiting for the sign-in of acct-01", CTRL_C);
    broken_off(terminal);

    let mut terminal = add();
    terminal.answer("Choice [1]: ", "1\n");
    paste_code(&world, &mut terminal, "jo");
    terminal.answer("Label [jo]: ", CTRL_C);
    let (code, _) = terminal.end();
    assert_eq!(code, 130);
    // By then the account is complete, under the label that was proposed.
    assert_eq!(world.accounts(), ["acct-01 jo"]);
    world.ok(&["select"]);
}

#[test]
fn a_sign_in_in_another_terminal_is_seen() {
    let world = World::new().with_browser("jo");
    let mut terminal = Terminal::start(&world, &["add", "--no-alias"], None);
    terminal.answer("Choice [1]: ", "2\n");
    terminal.wait_for("CLAUDE_CONFIG_DIR=");
    let command = format!("CLAUDE_CONFIG_DIR={}", terminal.wait_for("\r\n"));
    assert!(command.ends_with("/claude auth login"), "{command}");
    terminal.wait_for("waiting for the sign-in");
    let mut elsewhere = world.command("/bin/sh", &["-c", &command]);
    let output = elsewhere.output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    terminal.answer("Label [jo]: ", "\n");
    terminal.answer("Add another account?", "\n");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_sign_in_that_finished_after_ccp_was_gone_is_taken_up() {
    let world = World::new().with_browser("jo");
    let mut terminal = Terminal::start(&world, &["add", "--no-alias"], None);
    terminal.answer("Choice [1]: ", CTRL_C);
    assert_eq!(terminal.end().0, 130);
    let mut claude = world.command(world.bin("claude"), &["auth", "login"]);
    claude.env("CLAUDE_CONFIG_DIR", world.account_dir(1));
    assert!(claude.output().expect("runs").status.success());
    assert_eq!(world.ok(&["add", "-y"]), "acct-01\tjo\n");
}

#[test]
fn two_at_once_get_two_numbers() {
    let world = World::new().with_browser("jo");
    let mut both = [(); 2].map(|()| world.start(&["add", "-y"]));
    let mut lines: Vec<String> = Vec::new();
    for running in &mut both {
        running.close_stdin();
        let output = running.output(BOUND).expect("ends");
        assert_eq!(output.code, 0, "{}", output.stderr);
        lines.push(output.stdout);
    }
    lines.sort();
    let numbers: Vec<&str> = lines.iter().map(|l| &l[..7]).collect();
    assert_eq!(numbers, ["acct-01", "acct-02"]);
}

#[test]
fn a_console_login_is_refused_and_never_picked() {
    let world = World::new().with_browser("jo");
    let real = fs::read_link(world.bin("claude")).expect("a link");
    world.replace_claude(&format!(
        "case \"$1 $2\" in\n'auth status') echo '{{\"loggedIn\":true,\"authMethod\":\"api_key\"}}';;\n*) exec '{}' \"$@\";;\nesac",
        real.display()
    ));
    let error = world.fails(1, &["add", "-y"]);
    assert!(error.contains("API or console login"), "{error}");
    assert_eq!(world.run(&["select"]).code, 69);
}

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_is_made() {
    let world = World::new();
    let error = world.fails(1, &["add"]);
    assert!(error.contains("no terminal to ask on"), "{error}");
    assert!(error.contains("--run-login"), "{error}");
    assert!(!world.ccp_home().path().exists());
    let error = world.fails(1, &[]);
    assert!(error.contains("no accounts yet"), "{error}");
}

#[test]
fn without_claude_nothing_is_made() {
    let world = World::new();
    fs::remove_file(world.bin("claude")).expect("removes");
    let error = world.fails(127, &["add", "-y"]);
    assert!(error.contains("claude"), "{error}");
    assert!(!world.ccp_home().path().exists());
}

#[test]
fn plain_claudes_own_login_is_noticed() {
    let world = World::new().with_browser("jo");
    let spec = AccountSpec::new("jo");
    let own = serde_json::json!({"oauthAccount": spec.oauth_account()});
    fs::write(world.home.path().join(".claude.json"), own.to_string()).expect("writes");
    let output = world.run(&["add", "-y"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("plain `claude` uses"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_first_steps_lead_into_adding() {
    let world = World::new().with_browser("jo");
    let mut terminal = Terminal::start(&world, &[], None);
    terminal.answer("Add your first account now? [Y/n]", "\n");
    terminal.answer("Choice [1]: ", "\n");
    terminal.answer("Label [jo]: ", "\n");
    terminal.answer("Add another account?", "\n");
    terminal.answer("in new shells? [Y/n]", "\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    let rc = fs::read_to_string(world.home.path().join(".bashrc")).expect("was made");
    assert!(rc.contains("alias claude='ccp run' # ccp"), "{rc}");
}

#[test]
fn signing_in_again_heals_and_somebody_else_is_not_taken_silently() {
    let world = World::new().with_browser("jo");
    world.ok(&["add", "-y"]);
    let needs_login = || {
        world
            .store()
            .account(id(1))
            .expect("reads")
            .expect("is there")
            .health
            .needs_login
    };
    world.store().set_needs_login(id(1), true).expect("sets");
    world.ok(&["login", "jo", "--run-login"]);
    assert!(!needs_login(), "it works again");

    world.sign_up("other");
    let world = with_stubborn_browser(world);
    world.standin.service.set_next_login(Some("other"));
    let error = world.fails(1, &["login", "jo", "--run-login"]);
    assert!(error.contains("other@example.test"), "{error}");
    assert_eq!(
        world.run(&["select"]).code,
        69,
        "nobody gets the wrong login"
    );

    let mut terminal = Terminal::start(&world, &["login", "1", "--run-login"], None);
    terminal.answer("Keep the new login? [y/N]", "y\n");
    assert_eq!(terminal.end().0, 0);
    let account = world
        .store()
        .account(id(1))
        .expect("reads")
        .expect("is there");
    assert_eq!(
        account.identity.and_then(|i| i.email).as_deref(),
        Some("other@example.test")
    );
    world.ok(&["select"]);
}

/// A browser that drops the hint, as a person who is signed in as somebody else does.
fn with_stubborn_browser(mut world: World) -> World {
    let text = format!(
        "exec '{}' browse \"$(echo \"$1\" | sed 's/&login_hint=[^&]*//')\"",
        ccp_standin::fake_claude().display()
    );
    let browser = world.home.write_script("stubborn-browser", &text);
    world.set("BROWSER", browser.expect("writes"));
    world
}

#[test]
fn the_same_person_on_another_plan_is_another_login() {
    let world = with_stubborn_browser(World::new().with_browser("jo"));
    world.ok(&["add", "-y"]);
    let mut seat = AccountSpec::new("seat");
    seat.uuid = AccountSpec::new("jo").uuid;
    world.standin.service.add_account(seat);
    world.standin.service.set_next_login(Some("seat"));
    let error = world.fails(1, &["login", "jo", "--run-login"]);
    assert!(error.contains("seat's organization"), "{error}");
    world.run(&["refresh", "--all"]);
    assert_eq!(
        world.run(&["select"]).code,
        69,
        "numbers alone do not settle it"
    );
}

#[test]
fn ctrl_c_at_a_question_about_what_is_there_leaves_it_as_it_is() {
    let world = World::new().with_browser("jo");
    let broken_off = |arguments: &[&str], answers: &[(&str, &str)], question: &str| {
        let mut terminal = Terminal::start(&world, arguments, None);
        for (asked, keys) in answers {
            terminal.answer(asked, keys);
        }
        terminal.answer(question, CTRL_C);
        let (code, shown) = terminal.end();
        assert_eq!(code, 130, "{question}: {shown}");
    };
    broken_off(&[], &[], "Add your first account now?");
    assert!(!world.ccp_home().path().exists());
    let add = ["add", "--run-login"];
    let label = ("Label [jo]: ", "\n");
    broken_off(&add, &[label], "Add another account?");
    assert_eq!(world.accounts(), ["acct-01 jo"]);
    let another = ("Add another account?", "\n");
    broken_off(
        &add,
        &[("Label [jo (jo's organization)]: ", "\n"), another],
        "in new shells?",
    );
    assert!(!world.home.path().join(".bashrc").exists());
    broken_off(&["remove", "2"], &[], "from this machine?");
    assert_eq!(world.accounts().len(), 2);
    assert!(world.account_dir(2).is_dir());
}
