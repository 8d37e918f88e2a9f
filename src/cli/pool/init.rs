//! `ccp pool init`: from nothing to a pool with slots.

use super::arguments::Init;
use super::link::Link;
use super::stand::Stand;
use super::{Exchange, keep, places, spawn};
use crate::adapters::files::{self, PRIVATE_FILE, pause};
use crate::adapters::procs;
use crate::adapters::short_path;
use crate::cli::failure::{Failure, Outcome};
use crate::client::pool::{PoolClient, PoolClientError};
use crate::contract::exit;
use crate::contract::pool::{Config, Place, Reply, Request};
use serde_json::{Map, Value};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The largest `config.json` that is read, in bytes.
const MAX_CONFIG: u64 = 1024 * 1024;
/// How many slots a pool has when nobody says.
const DEFAULT_SIZE: u32 = 3;
/// How long a pool has to begin: its slots start side by side.
pub(super) const BEGINS: Duration = Duration::from_secs(180);
/// How long a daemon that closes connections may take to be gone.
const ENDS: Duration = Duration::from_secs(5);
/// Between two looks at one.
const AGAIN: Duration = Duration::from_millis(20);
/// How long it has for the rest.
const SOON: Duration = Duration::from_secs(30);

/// Runs `ccp pool init`.
pub fn run(stand: &Stand, arguments: &Init) -> Outcome {
    if arguments.size == Some(0) {
        return Err(Failure::new("pool size must be positive"));
    }
    let changes = changes(arguments)?;
    let (place, runs) = match places::place(stand)? {
        Place::Here(socket) => {
            let mut all = keep::table(stand)?;
            all.extend(changes.clone());
            let begun = begin(stand, socket, &all);
            // Whatever it was, the protocol's commands have one code for it.
            begun.map_err(|failure| failure.code(exit::FAILURE))?
        }
        remote @ Place::Remote(_) => (remote, true),
    };
    let exchange = Exchange::with(stand, Link::to(&place)?);
    if runs && !changes.is_empty() {
        let set = Some(changes);
        exchange.ask(&Request::Config { set }, SOON)?;
    }
    let request = Request::Init(crate::contract::pool::Init {
        size: arguments.size,
        no_restore: arguments.no_restore,
    });
    exchange.print(&exchange.ask(&request, BEGINS)?)
}

/// Finds or starts the daemon of a pool on this machine: where it listens, and whether it ran already. One that is started
/// finds these keys in its configuration.
pub(super) fn begin(
    stand: &Stand,
    noted: PathBuf,
    changes: &Map<String, Value>,
) -> Result<(Place, bool), Failure> {
    prepare(stand)?;
    // A pool may have been noted at another path; when nobody listens there any more, it begins at its own.
    let own = stand.dir.socket();
    let found = if runs_already(&noted)? {
        Some(noted)
    } else {
        runs_already(&own)?.then(|| own.clone())
    };
    let runs = found.is_some();
    let socket = found.unwrap_or(own);
    if !runs {
        write_config(stand, changes)?;
        spawn::start(stand)?;
    }
    places::register(stand, &socket)?;
    Ok((Place::Here(socket), runs))
}

/// What the command line says about the configuration.
fn changes(arguments: &Init) -> Result<Map<String, Value>, Failure> {
    let mut changes = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            changes.insert(key.to_owned(), value);
        }
    };
    put("size", arguments.size.map(Value::from));
    put("flags", arguments.flags.clone().map(Value::from));
    put("keepFresh", arguments.keep_fresh.map(Value::from));
    let dir = arguments.dir.as_deref().map(super::directory).transpose()?;
    put("dir", dir.map(Value::from));
    Ok(changes)
}

/// The directories, which nobody else may enter.
fn prepare(stand: &Stand) -> Result<(), Failure> {
    stand.make_home()?;
    let dir = stand.dir.path();
    let failed = |error: io::Error| Failure::new(format!("cannot make {}: {error}", dir.display()));
    files::create_private_dir(dir).map_err(failed)?;
    let metadata = fs::metadata(dir).map_err(failed)?;
    if metadata.uid() != procs::user_id() {
        return Err(Failure::new(format!(
            "{} belongs to somebody else",
            dir.display()
        )));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let private = Permissions::from_mode(files::PRIVATE_DIR);
        fs::set_permissions(dir, private).map_err(failed)?;
    }
    Ok(())
}

fn is_cut_off(error: &PoolClientError) -> bool {
    let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    match error {
        PoolClientError::Closed => true,
        PoolClientError::Io(error) => kinds.contains(&error.kind()),
        _ => false,
    }
}

/// Whether a daemon of ours listens already. Another program's is left alone, and so is its pool.
fn runs_already(socket: &Path) -> Result<bool, Failure> {
    let place = socket.display();
    let usable =
        short_path::usable(socket).map_err(|error| Failure::new(format!("{place}: {error}")))?;
    let deadline = Instant::now() + ENDS;
    let version = loop {
        let asked =
            PoolClient::connect(&usable).and_then(|mut client| client.call(&Request::Ping, SOON));
        match asked.map(|answer| answer.reply) {
            Ok(Reply::Pong { version, .. }) => break version,
            Ok(_) => break String::new(),
            Err(PoolClientError::NotRunning(_)) => return Ok(false),
            // One that is just ending still lets in, and answers nobody.
            Err(error) if is_cut_off(&error) && Instant::now() < deadline => pause(AGAIN),
            Err(error) => return Err(Failure::new(format!("{place}: {error}"))),
        }
    };
    if version.is_empty() {
        return Err(
            Failure::new(format!("another program's daemon listens at {place}"))
                .code(exit::UNAVAILABLE)
                .hint("end it first, with its own destroy, or use another --pool"),
        );
    }
    Ok(true)
}

/// Writes `config.json` as the next daemon shall find it.
fn write_config(stand: &Stand, changes: &Map<String, Value>) -> Result<(), Failure> {
    let path = stand.dir.config();
    let mut text = Vec::new();
    match File::open(&path).and_then(|file| file.take(MAX_CONFIG).read_to_end(&mut text)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::new(format!(
                "cannot read {}: {error}",
                path.display()
            )));
        }
        _ => {}
    }
    let wrong = |error| Failure::new(format!("{}: {error}", path.display()));
    let old = Config::parse(&text).map_err(wrong)?;
    let mut new = old.changed(changes).map_err(Failure::new)?;
    new.size = new.size.or(Some(DEFAULT_SIZE));
    if new != old {
        files::replace(&path, new.text().as_bytes(), PRIVATE_FILE)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}
