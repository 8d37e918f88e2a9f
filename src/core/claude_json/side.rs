//! One side of a merge: a text taken apart, and what it has to share.

use super::document::{Document, Field, PROJECTS, Project, unquoted};
use super::identity::{Identity, identity_in};
use super::ids::IdMap;
use super::keys::{PROJECT_KEYS, Sharing, sharing};
use crate::core::hash;
use std::borrow::Cow;
use std::fmt;

/// One place whose value is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot<'a> {
    /// A top-level key.
    Top(Cow<'a, str>),
    /// A key of a project: its path, and the key's place in [`PROJECT_KEYS`].
    Project(Cow<'a, str>, usize),
}

impl Slot<'_> {
    fn id(&self) -> u64 {
        match self {
            Self::Top(key) => hash::extend(hash::hash(b"top/"), key.as_bytes()),
            Self::Project(path, key) => {
                let of_key = hash::extend(hash::hash(b"project/"), PROJECT_KEYS[*key].as_bytes());
                hash::extend(hash::extend(of_key, b"/"), path.as_bytes())
            }
        }
    }

    /// Whether what an account holds here may go to the base.
    pub(super) fn goes_back(&self) -> bool {
        match self {
            Self::Top(key) => sharing(key) == Sharing::Preference,
            Self::Project(..) => true,
        }
    }
}

impl fmt::Display for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top(key) => f.write_str(key),
            Self::Project(path, key) => write!(f, "projects[{path:?}].{}", PROJECT_KEYS[*key]),
        }
    }
}

/// A value that is shared.
pub(super) struct Shared<'a> {
    /// Where it stands.
    pub slot: Slot<'a>,
    /// The same as one number.
    pub id: u64,
    /// The text of the value.
    pub value: &'a str,
    /// Its hash, white space left out.
    pub hash: u64,
}

/// The text of one side, taken apart.
pub struct Side<'a> {
    pub(super) document: Document<'a>,
    pub(super) shared: Vec<Shared<'a>>,
    by_id: IdMap<usize>,
}

impl<'a> Side<'a> {
    /// Takes a text apart; none when it is not one whole JSON object.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let document = Document::parse(text)?;
        let mut side = Self {
            document,
            shared: Vec::new(),
            by_id: IdMap::default(),
        };
        // Few projects share more than that they are trusted.
        let about = side.document.fields.len() + side.document.projects.len();
        side.shared.reserve(about);
        side.by_id.reserve(about);
        for at in 0..side.document.fields.len() {
            let field = side.document.fields[at];
            let key = field.key();
            if matches!(sharing(&key), Sharing::Preference | Sharing::Unlisted) {
                side.share(Slot::Top(key), field.value);
            }
        }
        for at in 0..side.document.projects.len() {
            side.share_project(at);
        }
        Some(side)
    }

    fn share_project(&mut self, at: usize) {
        let Project { raw_path, fields } = self.document.projects[at].clone();
        let path = unquoted(raw_path);
        for field in fields {
            let Field { raw_key, value } = self.document.project_fields[field];
            let key = unquoted(raw_key);
            // An empty value and none at all mean the same to claude, which writes the empty ones by itself.
            if let Some(key) = PROJECT_KEYS.iter().position(|k| *k == key)
                && !is_empty(value)
            {
                self.share(Slot::Project(path.clone(), key), value);
            }
        }
    }

    fn share(&mut self, slot: Slot<'a>, value: &'a str) {
        let (id, hash) = (slot.id(), value_hash(value));
        let shared = Shared {
            slot,
            id,
            value,
            hash,
        };
        // Of a key that is there twice the last one counts, as in JavaScript.
        if let Some(at) = self.by_id.get(&id) {
            self.shared[*at] = shared;
        } else {
            self.by_id.insert(id, self.shared.len());
            self.shared.push(shared);
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<&Shared<'a>> {
        self.by_id.get(&id).map(|at| &self.shared[*at])
    }

    /// One number for all that this text has to share: the same number, nothing new.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        // A sum does not care for the order of keys.
        self.shared.iter().fold(1, |sum: u64, s| {
            sum.wrapping_add(hash::extend(s.id, &s.hash.to_le_bytes()))
        })
    }

    /// Whose login this is.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        identity_in(&self.document)
    }

    pub(super) fn identity_hash(&self) -> Option<u64> {
        let identity = self.identity()?;
        let organization = identity.organization_uuid.unwrap_or_default();
        let of_account = hash::extend(hash::hash(identity.account_uuid.as_bytes()), b"/");
        Some(hash::extend(of_account, organization.as_bytes()))
    }

    pub(super) fn first_start(&self) -> Option<u64> {
        self.document.value("firstStartTime").map(value_hash)
    }

    /// Whether `projects` is there and cannot be taken apart.
    pub(super) fn projects_are_opaque(&self) -> bool {
        self.document.projects_at.is_none() && self.document.value(PROJECTS).is_some()
    }
}

/// A hash that does not regard white space between the parts of a value.
fn value_hash(value: &str) -> u64 {
    let (mut in_string, mut escaped) = (false, false);
    let mut sum = hash::hash(b"");
    for byte in value.bytes() {
        if in_string {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            in_string = !closes;
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        sum = hash::extend(sum, &[byte]);
    }
    sum
}

fn is_empty(value: &str) -> bool {
    let mut parts = value.bytes().filter(|b| !b.is_ascii_whitespace());
    match (parts.next(), parts.next()) {
        (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}')) => true,
        _ => matches!(value.trim(), "false" | "null" | "\"\""),
    }
}
