//! The claude that ccp itself runs: to sign in, to ask who is signed in, to ask for usage.

use super::failure::Failure;
use crate::adapters::agent::Environment;
use crate::adapters::claude_path::{Search, find};
use crate::contract::{exit, vars};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Finds claude as a launch would: `CCP_CLAUDE`, `PATH`, then where it is installed; never ccp itself.
pub fn find_claude(user_home: &Path) -> Result<PathBuf, Failure> {
    find_claude_on(user_home, variable("PATH").as_deref())
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|v| !v.is_empty())
}

/// The same with another `PATH` than this process's own.
pub fn find_claude_on(user_home: &Path, path: Option<&OsStr>) -> Result<PathBuf, Failure> {
    let forced = variable(vars::CCP_CLAUDE);
    let prefixes: Vec<OsString> = ["npm_config_prefix", "NPM_CONFIG_PREFIX"]
        .into_iter()
        .filter_map(variable)
        .collect();
    let prefixes: Vec<&OsStr> = prefixes.iter().map(OsString::as_os_str).collect();
    let cwd = env::current_dir().unwrap_or_default();
    let search = Search {
        forced: forced.as_deref(),
        path,
        cwd: &cwd,
        user_home: Some(user_home),
        npm_prefixes: &prefixes,
        own: &own_executables(),
        skip: &[],
    };
    find(&search).map_err(|problem| {
        Failure::new(problem)
            .hint("install Claude Code, or set CCP_CLAUDE to its executable")
            .code(exit::NOT_FOUND)
    })
}

fn own_executables() -> Vec<PathBuf> {
    let Ok(own) = env::current_exe() else {
        return Vec::new();
    };
    let own = fs::canonicalize(&own).unwrap_or(own);
    ["ccp", "ccpd"]
        .map(|name| own.with_file_name(name))
        .to_vec()
}

/// The environment of a claude that runs for the account of this directory.
#[must_use]
pub fn environment_for(account_dir: &Path) -> Environment {
    Environment::for_account(env::vars_os(), account_dir)
}
