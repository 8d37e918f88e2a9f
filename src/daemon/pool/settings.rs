//! How the pool is configured, and what its slots are started from.

use crate::adapters::agent::slot::{self, Recipe};
use crate::adapters::commands;
use crate::adapters::files::{self, PRIVATE_FILE};
use crate::contract::paths::Base;
use crate::contract::pool::{Code, Config, PoolDir, PoolError};
use crate::core::pool::event::Settings;
use crate::core::pool::id::Build;
use super::views::Labels;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Slots of a pool whose configuration names no number.
const DEFAULT_SIZE: u32 = 3;

/// What a daemon finds around it.
pub struct Surroundings {
    /// The person's home directory.
    pub user_home: PathBuf,
    /// Their own configuration of claude.
    pub base: Base,
    /// The environment of the command that started it.
    pub environment: Vec<(OsString, OsString)>,
    /// Finds claude, as a launch would.
    pub find_claude: Box<dyn Fn() -> Option<PathBuf> + Send + Sync>,
    /// This program, for hosts and hooks.
    pub program: PathBuf,
}
