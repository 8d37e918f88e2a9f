//! `pools.json`: where each pool listens, on this machine or behind OpenSSH. Keys that others put there stay.

use super::fields::kind;
use crate::contract::path_text;
use serde_json::{Map, Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a pool listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket on this machine.
    Here(PathBuf),
    /// A socket on another machine.
    Remote(Remote),
}

/// A socket on another machine: `ssh://user@host/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// As whom; none leaves it to OpenSSH.
    user: Option<String>,
    host: String,
    /// Absolute, without `.` and `..`.
    path: String,
}

impl Remote {
    /// What OpenSSH is told to connect to. It never begins with a dash.
    #[must_use]
    pub fn destination(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.host),
            None => self.host.clone(),
        }
    }

    /// The pool's socket there.
    #[must_use]
    pub fn socket(&self) -> &str {
        &self.path
    }

    /// The pool's directory there.
    #[must_use]
    pub fn pool_dir(&self) -> &str {
        self.path.rsplit_once('/').map_or("/", |(dir, _)| dir)
    }

    /// The same machine with another socket of this pool, as its daemon named it. The error says why it is refused: what
    /// a remote daemon says is only ever used below its own directory.
    pub fn sibling(&self, socket: &str) -> Result<Self, String> {
        let below = socket
            .strip_prefix(self.pool_dir())
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
        if !below || !is_forwardable(socket) {
            return Err(format!(
                "the remote pool names a socket outside its directory: {}",
                socket.escape_default()
            ));
        }
        Ok(Self {
            path: socket.to_owned(),
            ..self.clone()
        })
    }

    /// Reads `ssh://user@host/path`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{}` is no ssh://user@host/path: {why}",
                text.escape_default()
            )
        };
        let rest = text
            .strip_prefix("ssh://")
            .ok_or_else(|| wrong("it does not begin with ssh://"))?;
        let (machine, path) = rest
            .split_once('/')
            .ok_or_else(|| wrong("there is no path"))?;
        let (user, host) = match machine.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, machine),
        };
        if !is_word(host) || !user.is_none_or(is_word) {
            return Err(wrong(
                "user and host have letters, digits, `.`, `_` and `-` only, and no dash in front",
            ));
        }
        let path = format!("/{path}");
        if !is_forwardable(&path) {
            return Err(wrong("the path is no plain absolute one"));
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            path,
        })
    }
}

fn is_word(text: &str) -> bool {
    let all = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(all)
}

/// Whether OpenSSH takes the path for what it is: `:` separates, `%`, `$` and `~` are expanded, `\` quotes (ssh_config(5)).
/// Nothing may climb out of a directory either.
fn is_forwardable(path: &str) -> bool {
    let plain =
        |c: char| !c.is_control() && !matches!(c, ':' | '%' | '$' | '~' | '\\' | '[' | ']' | '*');
    let mut parts = path.split('/');
    path.starts_with('/')
        && path.len() > 1
        && path.chars().all(plain)
        && parts.next() == Some("")
        && parts.all(|part| !matches!(part, "" | "." | ".."))
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssh://{}{}", self.destination(), self.path)
    }
}

impl Place {
    /// Reads the value of `socket`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("ssh://") {
            return Remote::parse(text).map(Self::Remote);
        }
        path_text::decode(text)
            .filter(|path| path.is_absolute())
            .map(Self::Here)
            .ok_or_else(|| format!("`{}` is no absolute path", text.escape_default()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(path) => path.display().fmt(f),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

/// What `pools.json` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pools(Map<String, Value>);

impl Pools {
    /// Reads the file's text; an empty one says nothing. The error says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(pools)) => Ok(Self(pools)),
            Ok(other) => Err(format!("it holds {}, not an object", kind(&other))),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        format!("{text}\n")
    }

    /// Where the pool of this name listens; none when it is not there. The error says what is wrong with its entry.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Result<Place, String>> {
        let entry = self.0.get(name)?;
        let socket = entry.get("socket").and_then(Value::as_str);
        Some(socket.map_or_else(|| Err("it has no `socket`".to_owned()), Place::parse))
    }

    /// Every name, in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Puts a pool of this machine there. Whether that changes anything.
    pub fn put(&mut self, name: &str, socket: &Path) -> bool {
        let socket = json!(path_text::encode(socket));
        let before = self.0.get(name).and_then(|entry| entry.get("socket"));
        if before == Some(&socket) {
            return false;
        }
        match self.0.get_mut(name) {
            Some(Value::Object(entry)) => drop(entry.insert("socket".to_owned(), socket)),
            _ => drop(self.0.insert(name.to_owned(), json!({ "socket": socket }))),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_pool_is_a_plain_destination_and_a_plain_path() {
        let remote =
            Remote::parse("ssh://me@build-1.example/home/me/.claude-pool/default/api.sock")
                .expect("right");
        assert_eq!(remote.destination(), "me@build-1.example");
        assert_eq!(remote.pool_dir(), "/home/me/.claude-pool/default");
        assert_eq!(
            Remote::parse("ssh://host/s").expect("right").destination(),
            "host"
        );
        for text in [
            "ssh://-oProxyCommand=x/s",
            "ssh://me@-x/s",
            "ssh://-me@x/s",
            "ssh://a b/s",
            "ssh://host",
            "ssh://host/",
            "ssh:///s",
            "ssh://host:22/s",
            "ssh://host/a/../b",
            "ssh://host/a:b",
            "ssh://host/%h",
            "ssh://host/$HOME/s",
            "ssh://host//s",
            "ssh://a@b@c/s",
            "ssh://host/a\nb",
        ] {
            assert!(Remote::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_remote_daemon_may_name_sockets_below_its_directory_only() {
        let remote = Remote::parse("ssh://host/p/default/api.sock").expect("right");
        let there = remote
            .sibling("/p/default/attach-1.sock")
            .expect("is below");
        assert_eq!(there.to_string(), "ssh://host/p/default/attach-1.sock");
        for socket in [
            "/p/default",
            "/p/default/",
            "/p/default2/x",
            "/etc/x",
            "/p/default/../x",
            "x",
            "/p/default/a:b",
        ] {
            assert!(remote.sibling(socket).is_err(), "{socket}");
        }
    }

    #[test]
    fn what_others_wrote_stays() {
        let text =
            br#"{"far":{"socket":"ssh://host/s","colour":"red"},"odd":1,"x":{"socket":"rel"}}"#;
        let mut pools = Pools::parse(text).expect("is right");
        assert!(pools.put("near", Path::new("/n/api.sock")));
        assert!(!pools.put("near", Path::new("/n/api.sock")));
        let again = Pools::parse(pools.text().as_bytes()).expect("is right");
        assert_eq!(again, pools);
        assert_eq!(
            again.names().collect::<Vec<_>>(),
            ["far", "near", "odd", "x"]
        );
        assert_eq!(
            again.place("near"),
            Some(Ok(Place::Here("/n/api.sock".into())))
        );
        assert!(again.text().contains("red"));
        for name in ["odd", "x"] {
            assert!(
                again.place(name).is_some_and(|place| place.is_err()),
                "{name}"
            );
        }
        assert_eq!(again.place("none"), None);
        assert_eq!(Pools::parse(b" \n"), Ok(Pools::default()));
        assert!(Pools::parse(b"[]").is_err());
    }
}
