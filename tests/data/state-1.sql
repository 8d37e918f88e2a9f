-- A database of format 1 with a row in every table, as the first release left it. Never edited.
PRAGMA application_id = 1667461121;
PRAGMA user_version = 1;

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

INSERT INTO accounts (id, label, email, account_uuid, organization_uuid, organization_name, organization_type, organization_role, display_name, config_dir, added_at, signed_in_at)
VALUES (1, 'home', 'jo@example.test', 'u-1', 'o-1', 'Home', 'claude_max', 'admin', 'Jo', CAST('/h/accounts/acct-01' AS BLOB), 1790000000000, 1790000001000),
       (3, 'new', NULL, NULL, NULL, NULL, NULL, NULL, NULL, CAST('/h/accounts/acct-03' AS BLOB), 1790000000000, NULL);
INSERT INTO health (account, needs_login, renewal_failed, limited_until, limited_reported, unknown_since, problem, probed_at, cadence, unleased_sessions)
VALUES (1, 1, 0, 1790000005000, 1790000004000, 1790000003000, 'offline', 1790000003000, 180000, 2), (3, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0);
INSERT INTO samples (id, account, measured_at, source, extra_enabled, extra_used, extra_limit, extra_currency)
VALUES (7, 1, 1790000002000, 'claude', 1, 1234.0, 5000.0, 'USD');
INSERT INTO windows (sample, kind, model, used, resets_at)
VALUES (7, 'five_hour', '', 31.5, 1790010000000), (7, 'seven_day', '', 12.0, NULL), (7, 'weekly_scoped', 'Fable', 88.0, 1790300000000);
INSERT INTO pins (dir, manual, account, at) VALUES (X'2F77FF', 1, 1, 1790000000000), (X'2F77FF', 0, 3, 1790000000500);
INSERT INTO picks (lease, account, at, record) VALUES ('acct-01.p1-2.0000000000000001.0000000000000002.1790000000000.s', 1, 1790000000000,
    '{"at_ms":1790000000000,"account":1,"label":"home","command":"run","reason":"emptiest","cwd":"/w","machine":"m","ranking":[]}');
INSERT INTO events (id, at, account, kind, text) VALUES (1, 1790000000000, 1, 'added', 'added home'), (2, 1790000000001, NULL, 'started', 'daemon started');
INSERT INTO overlay_state (account, stamp, merged) VALUES (1,
    '{"base_dir_ns":1,"account_dir_ns":2,"base_listing":18446744073709551615,"account_listing":4,"base_json":{"inode":1,"len":2,"modified_ns":3},"account_json":{"inode":0,"len":0,"modified_ns":0}}', '{"theme":5}');
INSERT INTO meta (key, value) VALUES ('paused_since', '1790000000000');
