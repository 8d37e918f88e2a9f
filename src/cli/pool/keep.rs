//! Pools that begin without somebody's `init`: those that `config.toml` names, and the one a prompt is meant for.

use super::init::{BEGINS, begin};
use super::link::Link;
use super::stand::Stand;
use super::{Exchange, SOON, places};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome};
use crate::client::pool::PoolClientError;
use crate::contract::exit;
use crate::contract::paths::pool::DEFAULT_POOL;
use crate::contract::pool::{Code, Config, Init, Place, Reply, Request};
use crate::contract::settings::{PoolSettings, expand};
use serde_json::{Map, Value};

/// Runs `ccp pool keep`: the pool runs afterwards, and is as its table says.
pub fn run(stand: &Stand) -> Outcome {
    begun(stand)?;
    Ok(exit::OK)
}

/// What `config.toml` says about the pool's configuration, as keys of `config.json`.
pub(super) fn table(stand: &Stand) -> Result<Map<String, Value>, Failure> {
    let settings = Context::of_process()?.settings()?.pool(&stand.name);
    Ok(keys(&settings, stand))
}

fn keys(settings: &PoolSettings, stand: &Stand) -> Map<String, Value> {
    let dir = settings.dir.as_ref();
    let dir = dir.map(|dir| expand(dir, &stand.user_home));
    let rows = [
        ("size", settings.size.map(Value::from)),
        ("flags", settings.flags.clone().map(Value::from)),
        // The settings are text, and so is every path in them.
        ("dir", dir.and_then(|dir| dir.to_str().map(Value::from))),
        ("keepFresh", settings.keep_fresh.map(Value::from)),
    ];
    let set = rows.into_iter();
    set.filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// Begins the pool where it does not run, and tells it what its table says otherwise than it does.
pub fn begun(stand: &Stand) -> Result<(), Failure> {
    let socket = match places::place(stand)? {
        Place::Here(socket) => socket,
        Place::Remote(remote) => {
            return Err(Failure::new(format!("it is on another machine: {remote}"))
                .hint("take its table out of config.toml")
                .code(exit::UNAVAILABLE));
        }
    };
    let table = table(stand)?;
    let (place, runs) = begin(stand, socket, &table)?;
    let exchange = Exchange::with(stand, Link::to(&place)?);
    if runs {
        tell(&exchange, &table)?;
    }
    let init = Request::Init(Init {
        size: None,
        no_restore: false,
    });
    match exchange.attempt(&init, BEGINS) {
        Ok(_) => Ok(()),
        // It found its slots living.
        Err(PoolClientError::Refused(error, _)) if error.code == Code::AlreadyInitialized => Ok(()),
        Err(error) => Err(exchange.link.failure(error)),
    }
}

/// What a running pool is told: what its configuration says otherwise. A size counts at once only by a request of its own.
fn tell(exchange: &Exchange<'_>, table: &Map<String, Value>) -> Result<(), Failure> {
    let answer = exchange.ask(&Request::Config { set: None }, SOON)?;
    let Reply::Config { config } = answer.reply else {
        return Err(Failure::new("the pool answered with something else"));
    };
    let (size, mut set) = differing(&config, table);
    if let Some(size) = size {
        match exchange.attempt(&Request::Resize { size }, SOON) {
            Ok(_) => {}
            // Then it begins with that size.
            Err(PoolClientError::Refused(error, _)) if error.code == Code::NotInitialized => {
                set.insert("size".to_owned(), Value::from(size));
            }
            Err(error) => return Err(exchange.link.failure(error)),
        }
    }
    if !set.is_empty() {
        exchange.ask(&Request::Config { set: Some(set) }, SOON)?;
    }
    Ok(())
}

/// The size, and the other keys, where the table says otherwise than the configuration.
fn differing(config: &Config, table: &Map<String, Value>) -> (Option<u32>, Map<String, Value>) {
    let now = serde_json::to_value(config).unwrap_or_default();
    let mut set: Map<String, Value> = table
        .iter()
        .filter(|(key, value)| now.get(key.as_str()) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let size = set.remove("size").and_then(|size| size.as_u64());
    (size.and_then(|size| u32::try_from(size).ok()), set)
}

/// Whether a prompt may begin the pool where nobody has: the usual one, one with a table, or one that was there before. A
/// name that was mistyped makes none.
pub fn may_begin(stand: &Stand, problem: &PoolClientError) -> bool {
    let is_missing = match problem {
        PoolClientError::NotRunning(_) => true,
        PoolClientError::Refused(error, _) => error.code == Code::NotInitialized,
        _ => false,
    };
    let here = || matches!(places::place(stand), Ok(Place::Here(_)));
    let is_known = || {
        let settings = Context::of_process().and_then(|context| context.settings());
        stand.name == DEFAULT_POOL
            || stand.dir.config().exists()
            || settings.is_ok_and(|s| s.pools.named.contains_key(&stand.name))
    };
    is_missing && here() && is_known()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pool_is_told_only_what_its_table_says_otherwise() {
        let config = json!({"size": 3, "flags": "--model x", "mine": 1});
        let config = Config::parse(config.to_string().as_bytes()).expect("is right");
        let table = |value: Value| value.as_object().expect("an object").clone();
        let same = table(json!({"size": 3, "flags": "--model x"}));
        assert_eq!(differing(&config, &same), (None, Map::new()));
        let other = table(json!({"size": 4, "flags": "", "keepFresh": 0, "dir": "/w"}));
        let expected = table(json!({"flags": "", "keepFresh": 0, "dir": "/w"}));
        assert_eq!(differing(&config, &other), (Some(4), expected));
    }
}
