//! The tables of a pool's database, as the steps that lead from each format to the next. A released step is never
//! edited: a change is a new step at the end.

/// Marks the file as a pool's (`PRAGMA application_id`): "ccp" and a two.
pub(super) const APPLICATION_ID: i64 = 0x6363_7002;

/// Step N leads from format N to format N + 1. The number of steps is the current format (`PRAGMA user_version`).
pub(super) const STEPS: &[&str] = &[FORMAT_1, FORMAT_2];

/// Instants are milliseconds since the Unix epoch; paths are the bytes of the path; ids as clients see them. The
/// columns of `rest`: `offloaded`, `failed` (with `problem`), `archived` (with `archived_at`).
const FORMAT_1: &str = "
CREATE TABLE sessions (
    id             TEXT PRIMARY KEY,
    claude_uuid    TEXT,
    has_transcript INTEGER NOT NULL,
    rest           TEXT NOT NULL CHECK (rest IN ('offloaded', 'failed', 'archived')),
    problem        TEXT,
    archived_at    INTEGER,
    seat_slot      INTEGER,
    seat_process   INTEGER,
    seat_loaded    INTEGER,
    place_in_queue INTEGER,
    priority       INTEGER NOT NULL,
    pinned_until   INTEGER,
    parent         TEXT NOT NULL,
    cwd            BLOB NOT NULL,
    spawn_cwd      BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER NOT NULL,
    metadata       TEXT NOT NULL,
    account        INTEGER,
    model          TEXT,
    saved_input    TEXT,
    was_live       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE prompts (
    session      TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    text         TEXT NOT NULL,
    slot         INTEGER,
    process      INTEGER,
    number       INTEGER,
    beyond       INTEGER NOT NULL DEFAULT 0,
    redelivered  INTEGER NOT NULL,
    accepted_at  INTEGER NOT NULL,
    conversations TEXT NOT NULL
) STRICT;

CREATE TABLE baseline (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    build INTEGER NOT NULL,
    mode  TEXT,
    model TEXT
) STRICT;
";

/// A prompt's row may be kept until its turn is over.
const FORMAT_2: &str = "ALTER TABLE prompts ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;";
