//! Every environment variable that ccp reads, sets or removes.

use std::ffi::OsStr;

/// Where ccp keeps its state; default `~/.cc-pool`.
pub const CCP_HOME: &str = "CCP_HOME";
/// Forces an account for one launch: id, `acct-NN`, label or email.
pub const CCP_ACCOUNT: &str = "CCP_ACCOUNT";
/// Forces the claude executable.
pub const CCP_CLAUDE: &str = "CCP_CLAUDE";
/// Base URL of the service for the `oauth` usage source; loopback or https only.
pub const CCP_API_BASE: &str = "CCP_API_BASE";
/// Base URL of the token endpoint for direct renewal; loopback or https only.
pub const CCP_OAUTH_BASE: &str = "CCP_OAUTH_BASE";
/// Where the simulated service of the demo and the tests listens; loopback only. Read by the stand-in client alone.
pub const SIMULATED_SERVICE: &str = "CCP_SIMULATED_SERVICE";
/// Set for a claude that ccp asks something, so that it is not taken for a session.
pub const CCP_PROBE: &str = "CCP_PROBE";
/// A daemon ends when the process of this number does: what a test starts does not outlive the test.
pub const CCP_TEST_OWNER_PID: &str = "CCP_TEST_OWNER_PID";
/// What claude's hooks run in a slot: the path of ccpd. The hooks' command names only this variable.
pub const CCP_HOOK_PROGRAM: &str = "CCP_HOOK_PROGRAM";
/// Where a slot's host listens, for the hooks of its claude.
pub const CCP_HOOK_SOCKET: &str = "CCP_HOOK_SOCKET";
/// By what a hook proves that it belongs to the slot's claude; also marks everything that claude started.
pub const CCP_HOOK_TOKEN: &str = "CCP_HOOK_TOKEN";
/// The status line that the settings among a pool's flags ask for: a slot's own runs it.
pub const CCP_STATUS_LINE: &str = "CCP_STATUS_LINE";
/// Set for a status line that another one of ours runs: what it would report is reported already.
pub const CCP_STATUS_TOLD: &str = "CCP_STATUS_TOLD";
/// A pool's daemon, and a slot's host with its claude, end when the process of this number does.
pub const CLAUDE_POOL_TEST_OWNER_PID: &str = "CLAUDE_POOL_TEST_OWNER_PID";
/// Where session pools are; default `~/.claude-pool`.
pub const CLAUDE_POOL_HOME: &str = "CLAUDE_POOL_HOME";
/// The program that is started as the daemon of a pool; ccp itself by default.
pub const CLAUDE_POOL_DAEMON: &str = "CLAUDE_POOL_DAEMON";
/// The conversation in which a command is run: claude sets it for its tools and hooks.
pub const CLAUDE_CODE_SESSION_ID: &str = "CLAUDE_CODE_SESSION_ID";
/// Set to anything, it means: no colours.
pub const NO_COLOR: &str = "NO_COLOR";
/// `0`: this command starts no daemon in the background; anything else: it may, whatever `[daemon] autostart` says.
pub const CCP_AUTOSTART: &str = "CCP_AUTOSTART";
/// Set by services that build and test: what runs there leaves nothing running behind.
pub const CI: &str = "CI";
/// Where a person's configuration is; default `~/.config`.
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// What a test changes of a daemon: its bounds, and facts about the computer; `NAME=VALUE`, separated by commas.
pub const CCP_TEST_DAEMON: &str = "CCP_TEST_DAEMON";
/// Where short paths for sockets can be had.
pub const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// The directory of the pool that a claude belongs to.
pub const CLAUDE_POOL_DIR: &str = "CLAUDE_POOL_DIR";
/// The session of the pool that a claude was started for, where it was started for one.
pub const CLAUDE_POOL_SESSION_ID: &str = "CLAUDE_POOL_SESSION_ID";

/// The directory claude keeps everything in.
pub const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// The directory claude keeps its plugin store in; set to the base's, so that plugin paths are the same everywhere.
pub const PLUGIN_CACHE_DIR: &str = "CLAUDE_CODE_PLUGIN_CACHE_DIR";
/// The model of a launch, after `--model` and before settings.
pub const ANTHROPIC_MODEL: &str = "ANTHROPIC_MODEL";
/// Where claude sends its requests, the account's token with them.
pub const ANTHROPIC_BASE_URL: &str = "ANTHROPIC_BASE_URL";
/// The pid of the claude that runs a hook, a status line or a tool; newer clients set it.
pub const CLAUDE_PID: &str = "CLAUDE_PID";
/// Switches the usage read of claude off, so probes remove it.
pub const NONESSENTIAL_TRAFFIC: &str = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC";

/// Variables that would make claude ignore the account's login: removed at launch unless `[env] keep` lists them.
pub const OVERRIDES: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "ANTHROPIC_API_KEY_FILE_DESCRIPTOR",
    "ANTHROPIC_AUTH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_SECURESTORAGE_CONFIG_DIR",
    "ANTHROPIC_UNIX_SOCKET",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
];

/// What a claude tells its children about itself. A claude that ccp starts for its own purposes is nobody's child, so
/// these are removed (seen in the environment of hooks and of the Bash tool, Claude Code 2.1.197 and 2.1.329).
pub const ANCESTRY: &[&str] = &[
    "CLAUDECODE",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_CHILD_NOTES_DIR",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_PROJECT_DIR",
    "CLAUDE_EFFORT",
    "CLAUDE_PID",
    "AI_AGENT",
];

/// What a slot of a pool gives to all that runs in it: by it that is found and ended with the slot, so nothing that is to
/// live longer keeps it.
pub const OF_A_SLOT: &[&str] = &[
    CCP_HOOK_PROGRAM,
    CCP_HOOK_SOCKET,
    CCP_HOOK_TOKEN,
    CCP_STATUS_LINE,
    CLAUDE_POOL_DIR,
    CLAUDE_POOL_SESSION_ID,
];

/// What no process of the background keeps of the launch or command that started it: whose session that was, and secrets
/// that replace a login.
pub fn of_one_session() -> impl Iterator<Item = &'static str> {
    let lists = OVERRIDES.iter().chain(ANCESTRY).chain(OF_A_SLOT);
    lists.copied().chain([CLAUDE_CONFIG_DIR])
}

/// Hosts whose base URL gets no remark: claude's own default.
pub const FIRST_PARTY_BASE_URL: &str = "https://api.anthropic.com";
/// Where claude renews its tokens, and so does direct renewal.
pub const FIRST_PARTY_OAUTH_URL: &str = "https://platform.claude.com";

/// Whether a command may start a daemon in the background: `CCP_AUTOSTART` says so where it is set, else
/// `[daemon] autostart` does, though not in CI.
pub fn may_autostart<V: AsRef<OsStr>>(
    setting: bool,
    variable: impl Fn(&'static str) -> Option<V>,
) -> bool {
    let says = |name| variable(name).filter(|v| !v.as_ref().is_empty());
    let is_no = |value: &V| value.as_ref() == "0" || value.as_ref() == "false";
    match says(CCP_AUTOSTART) {
        Some(value) => !is_no(&value),
        None => setting && says(CI).is_none_or(|value| is_no(&value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_decides_then_ci_then_the_setting() {
        let may = |setting, autostart: &'static str, ci: &'static str| {
            may_autostart(setting, |name| match name {
                CCP_AUTOSTART => Some(autostart),
                CI => Some(ci),
                _ => None,
            })
        };
        assert!(may(true, "", "") && !may(false, "", ""));
        assert!(!may(true, "0", "") && !may(true, "false", ""));
        assert!(may(false, "1", "") && may(true, "1", "true"));
        assert!(!may(true, "", "true") && may(true, "", "false"));
        assert!(may_autostart(true, |_| None::<&str>));
    }
}
