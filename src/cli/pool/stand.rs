//! What a command of a pool stands on: which pool, where pools are, how it prints.

use crate::adapters::files;
use crate::cli::context::ContextError;
use crate::cli::failure::Failure;
use crate::contract::paths::pool::{DEFAULT_POOL_HOME_NAME, PoolDir, PoolHome};
use crate::contract::vars;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// What a command stands on.
#[derive(Clone, Debug)]
pub struct Stand {
    /// Where pools are.
    pub home: PoolHome,
    /// The person's home directory.
    pub user_home: PathBuf,
    /// The pool's name.
    pub name: String,
    /// The pool's directory on this machine, whether or not it is there.
    pub dir: PoolDir,
    /// Print replies as they come.
    pub json: bool,
    /// Whether stdout may have colours.
    pub colour: bool,
}

impl Stand {
    /// What the environment and the command line say.
    pub fn new(name: &str, json: bool) -> Result<Self, Failure> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let user_home = std::env::home_dir()
            .filter(|home| !home.as_os_str().is_empty())
            .ok_or(ContextError::NoUserHome)?;
        let path = set(vars::CLAUDE_POOL_HOME)
            .map_or_else(|| user_home.join(DEFAULT_POOL_HOME_NAME), PathBuf::from);
        let home = PoolHome::new(&path).ok_or_else(|| {
            let path = path.display();
            Failure::new(format!(
                "{} is not an absolute path: {path}",
                vars::CLAUDE_POOL_HOME
            ))
        })?;
        let dir = home.pool(name).ok_or_else(|| {
            let name = name.escape_debug();
            Failure::new(format!("`{name}` is no name for a pool"))
                .hint("use up to 64 letters, digits, `.`, `_` and `-`, and no dot or dash in front")
        })?;
        let plain = set(vars::NO_COLOR).is_some() || set("TERM").is_some_and(|term| term == "dumb");
        Ok(Self {
            home,
            user_home,
            name: name.to_owned(),
            dir,
            json,
            colour: !plain && std::io::stdout().is_terminal(),
        })
    }

    /// Makes the directory of all pools.
    pub fn make_home(&self) -> Result<(), Failure> {
        let path = self.home.path();
        files::create_private_dir(path)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", path.display())))
    }
}
