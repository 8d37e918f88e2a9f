//! The tables, as the steps that lead from each format to the next. A released step is never edited: a change is a new
//! step at the end.

/// Marks the file as ours (`PRAGMA application_id`): "ccp" and a one.
pub(super) const APPLICATION_ID: i64 = 0x6363_7001;

/// Step N leads from format N to format N + 1. The number of steps is the current format (`PRAGMA user_version`).
pub(super) const STEPS: &[&str] = &[FORMAT_1, FORMAT_2];

/// The current format.
pub(super) fn known_format() -> i64 {
    i64::try_from(STEPS.len()).expect("a handful of steps")
}

/// Instants are milliseconds since the Unix epoch; paths are the bytes of the path.
const FORMAT_1: &str = "
CREATE TABLE accounts (
    id                INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 9999),
    label             TEXT NOT NULL UNIQUE,
    email             TEXT,
    account_uuid      TEXT,
    organization_uuid TEXT,
    organization_name TEXT,
    organization_type TEXT,
    organization_role TEXT,
    display_name      TEXT,
    config_dir        BLOB NOT NULL,
    added_at          INTEGER NOT NULL,
    signed_in_at      INTEGER
) STRICT;

CREATE TABLE health (
    account           INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    needs_login       INTEGER NOT NULL DEFAULT 0,
    renewal_failed    INTEGER NOT NULL DEFAULT 0,
    limited_until     INTEGER,
    limited_reported  INTEGER,
    unknown_since     INTEGER,
    problem           TEXT,
    probed_at         INTEGER,
    cadence           INTEGER,
    unleased_sessions INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE samples (
    id             INTEGER PRIMARY KEY,
    account        INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    measured_at    INTEGER NOT NULL,
    source         TEXT NOT NULL,
    extra_enabled  INTEGER,
    extra_used     REAL,
    extra_limit    REAL,
    extra_currency TEXT,
    UNIQUE (account, measured_at, source)
) STRICT;
CREATE INDEX samples_by_age ON samples (measured_at);

CREATE TABLE windows (
    sample    INTEGER NOT NULL REFERENCES samples (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    model     TEXT NOT NULL DEFAULT '',
    used      REAL NOT NULL,
    resets_at INTEGER,
    PRIMARY KEY (sample, kind, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE pins (
    dir     BLOB NOT NULL,
    manual  INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    PRIMARY KEY (dir, manual)
) STRICT, WITHOUT ROWID;

CREATE TABLE picks (
    lease   TEXT PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    record  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX picks_by_age ON picks (at);
CREATE INDEX picks_by_account ON picks (account);

CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    account INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    text    TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_age ON events (at);

CREATE TABLE overlay_state (
    account INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    stamp   TEXT,
    merged  TEXT
) STRICT;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What is held back in the flow of settings, for people, and since when.
const FORMAT_2: &str = "
ALTER TABLE overlay_state ADD COLUMN held TEXT;
ALTER TABLE overlay_state ADD COLUMN held_since INTEGER;
";
