//! Puts a document together again with some of its values set, added or removed. Order is kept, what is new comes last,
//! and every value that is not set is copied as it stands.

use super::document::{Document, Field, PROJECTS, unquoted};
use super::keys::PROJECT_KEYS;
use super::side::Slot;
use std::collections::{HashMap, HashSet};

/// A value to set, or none to remove the key.
type Edit<'e> = Option<&'e str>;

/// Edits in the order in which they were made, found by key.
#[derive(Debug)]
struct Ordered<'e, K> {
    order: Vec<(K, Edit<'e>)>,
}

/// What to change in a document.
#[derive(Debug, Default)]
pub(super) struct Edits<'e> {
    top: Ordered<'e, String>,
    projects: Vec<(String, Ordered<'e, usize>)>,
    project_at: HashMap<String, usize>,
    /// Leave `projects` alone, whatever is set in it.
    pub keep_projects: bool,
}

impl<K> Default for Ordered<'_, K> {
    fn default() -> Self {
        Self { order: Vec::new() }
    }
}

impl<'e> Edits<'e> {
    pub fn set(&mut self, slot: &Slot<'_>, value: &'e str) {
        self.put(slot, Some(value));
    }

    pub fn remove(&mut self, slot: &Slot<'_>) {
        self.put(slot, None);
    }

    fn put(&mut self, slot: &Slot<'_>, edit: Edit<'e>) {
        match slot {
            Slot::Top(key) => self.top.order.push((key.to_string(), edit)),
            Slot::Project(..) if self.keep_projects => {}
            Slot::Project(path, key) => {
                let next = self.projects.len();
                let at = *self.project_at.entry(path.to_string()).or_insert(next);
                if at == next {
                    self.projects.push((path.to_string(), Ordered::default()));
                }
                self.projects[at].1.order.push((*key, edit));
            }
        }
    }

    /// The new text; none when there is nothing to change.
    pub fn apply(&self, document: &Document<'_>) -> Option<String> {
        let idle = self.top.order.is_empty() && self.projects.is_empty();
        (!idle).then(|| render(document, self))
    }
}

/// The text of `document` with `edits` made.
pub(super) fn render(document: &Document<'_>, edits: &Edits<'_>) -> String {
    let mut out = Writer {
        text: String::with_capacity(size(document) + 4096),
        lines: document.lines,
    };
    let top: HashMap<&str, Edit<'_>> = edits
        .top
        .order
        .iter()
        .map(|(k, e)| (k.as_str(), *e))
        .collect();
    let mut seen = HashSet::new();
    out.text.push('{');
    let mut first = true;
    let mut projects_written = false;
    for (at, field) in document.fields.iter().enumerate() {
        if document.projects_at == Some(at) {
            out.projects(&mut first, document, edits);
            projects_written = true;
        }
        let key = field.key();
        match top.get(key.as_ref()) {
            Some(edit) => {
                if let Some(value) = edit {
                    out.field(&mut first, 1, field.raw_key, value);
                }
                seen.insert(key.into_owned());
            }
            None => out.field(&mut first, 1, field.raw_key, field.value),
        }
    }
    if !projects_written && document.projects_at.is_some() {
        out.projects(&mut first, document, edits);
        projects_written = true;
    }
    for (key, edit) in &edits.top.order {
        if let Some(value) = edit
            && seen.insert(key.clone())
        {
            out.field(&mut first, 1, &quoted(key), value);
        }
    }
    if !projects_written && !edits.projects.is_empty() {
        out.projects(&mut first, document, edits);
    }
    out.close(first, 0, '}');
    out.text.push_str(if document.lines { "\n" } else { "" });
    out.text
}

/// No less than what the document takes as it is: a text that outgrows its room is copied.
fn size(document: &Document<'_>) -> usize {
    let fields = document.fields.iter().chain(&document.project_fields);
    let fields: usize = fields
        .map(|f| f.raw_key.len() + f.value.len() + BYTES_AROUND)
        .sum();
    let projects = document.projects.iter();
    let projects: usize = projects.map(|p| p.raw_path.len() + 2 * BYTES_AROUND).sum();
    fields + projects
}

fn quoted(key: &str) -> String {
    serde_json::to_string(key).expect("text is always JSON")
}

/// The most that stands around a key and its value: comma, new line, indentation, colon.
const BYTES_AROUND: usize = 10;

/// A new line and the deepest indentation that is written: a project's field.
const INDENTED: &str = "\n      ";

struct Writer {
    text: String,
    lines: bool,
}

impl Writer {
    fn begin(&mut self, first: &mut bool, depth: usize) {
        if !std::mem::take(first) {
            self.text.push(',');
        }
        self.line(depth);
    }

    fn line(&mut self, depth: usize) {
        if self.lines {
            self.text.push_str(&INDENTED[..1 + 2 * depth]);
        }
    }

    fn key(&mut self, raw_key: &str) {
        self.text.push_str(raw_key);
        self.text.push_str(if self.lines { ": " } else { ":" });
    }

    fn field(&mut self, first: &mut bool, depth: usize, raw_key: &str, value: &str) {
        self.begin(first, depth);
        self.key(raw_key);
        self.text.push_str(value);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.text.push(bracket);
    }

    fn projects(&mut self, first: &mut bool, document: &Document<'_>, edits: &Edits<'_>) {
        self.begin(first, 1);
        self.key(&quoted(PROJECTS));
        self.text.push('{');
        let mut first_project = true;
        let mut seen = HashSet::new();
        for project in &document.projects {
            let at = if edits.projects.is_empty() {
                None
            } else {
                edits
                    .project_at
                    .get(unquoted(project.raw_path).as_ref())
                    .copied()
            };
            seen.extend(at);
            self.begin(&mut first_project, 2);
            self.key(project.raw_path);
            self.project(
                document.fields_of(project),
                at.map(|at| &edits.projects[at].1),
            );
        }
        for (at, (path, project)) in edits.projects.iter().enumerate() {
            if !seen.contains(&at) && project.order.iter().any(|(_, edit)| edit.is_some()) {
                self.begin(&mut first_project, 2);
                self.key(&quoted(path));
                self.project(&[], Some(project));
            }
        }
        self.close(first_project, 1, '}');
    }

    fn project(&mut self, fields: &[Field<'_>], edits: Option<&Ordered<'_, usize>>) {
        self.text.push('{');
        let mut first = true;
        let mut seen = [false; PROJECT_KEYS.len()];
        let edits = edits.map_or(&[][..], |e| &e.order[..]);
        for field in fields {
            let edit = if edits.is_empty() {
                None
            } else {
                let key = field.key();
                edits.iter().find(|(k, _)| PROJECT_KEYS[*k] == key)
            };
            match edit {
                Some((key, edit)) => {
                    seen[*key] = true;
                    if let Some(value) = edit {
                        self.field(&mut first, 3, field.raw_key, value);
                    }
                }
                None => self.field(&mut first, 3, field.raw_key, field.value),
            }
        }
        for (key, edit) in edits {
            if let Some(value) = edit
                && !seen[*key]
            {
                self.field(&mut first, 3, &quoted(PROJECT_KEYS[*key]), value);
            }
        }
        self.close(first, 2, '}');
    }
}
