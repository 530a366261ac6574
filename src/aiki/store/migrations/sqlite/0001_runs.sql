-- Runs, what they have done (journal), what they wait for (waits), what was sent to them (inbox), who works on them
-- (sessions), and how they came to where they are (history).
--
-- What the server looks up by, counts or constrains is a column. The rest of an entry, a wait or a message is the JSON of
-- its form on the wire (model/journal.py): a field that is added later needs no migration. Times are integer
-- milliseconds UTC; ids are UUIDs as text; payloads are canonical JSON text.

CREATE TABLE runs (
    id               TEXT    NOT NULL PRIMARY KEY,
    namespace        TEXT    NOT NULL,
    workflow         TEXT    NOT NULL,
    version          TEXT    NOT NULL,
    pool             TEXT    NOT NULL,
    reference_id     TEXT,
    input_hash       TEXT    NOT NULL,
    parent_id        TEXT,
    parent_close     TEXT    NOT NULL CHECK (parent_close IN ('abandon', 'cancel')),
    root_id          TEXT    NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('scheduled', 'queued', 'running', 'sleeping', 'awaiting_event',
                                 'awaiting_child', 'awaiting_retry', 'paused', 'stalled', 'completed', 'failed', 'cancelled')),
    version_no       INTEGER NOT NULL CHECK (version_no >= 0),
    epoch            INTEGER NOT NULL CHECK (epoch >= 0),
    turn             INTEGER NOT NULL CHECK (turn >= 0),
    attempt          INTEGER NOT NULL CHECK (attempt >= 1),
    chapter          INTEGER NOT NULL CHECK (chapter >= 1),
    seq              INTEGER NOT NULL CHECK (seq >= 0),
    mail             INTEGER NOT NULL CHECK (mail >= 0),
    effects          INTEGER NOT NULL CHECK (effects >= 0),
    waits            INTEGER NOT NULL CHECK (waits >= 0),
    deadline_ms      INTEGER,
    alarm_at_ms      INTEGER,
    due_at_ms        INTEGER,
    priority         INTEGER NOT NULL,
    session_id       TEXT,
    parked_on        TEXT,
    claimed_poll     INTEGER NOT NULL,
    crashes          INTEGER NOT NULL CHECK (crashes >= 0),
    cancel           TEXT    CHECK (cancel IN ('person', 'parent', 'timeout')),
    cancel_reason    TEXT,
    cancel_delivered INTEGER NOT NULL CHECK (cancel_delivered IN (0, 1)),
    timeout_ms       INTEGER,
    timeout_at_ms    INTEGER,
    retry            TEXT    NOT NULL,
    clock_ms         INTEGER,
    why              TEXT,
    has_children     INTEGER NOT NULL CHECK (has_children IN (0, 1)),
    cascade          TEXT    NOT NULL CHECK (cascade IN ('none', 'following', 'all')),
    created_at_ms    INTEGER NOT NULL,
    started_at_ms    INTEGER,
    finished_at_ms   INTEGER,

    CHECK ((status = 'running') = (session_id IS NOT NULL)),
    CHECK (status <> 'queued' OR due_at_ms IS NOT NULL),
    CHECK (status <> 'scheduled' OR alarm_at_ms IS NOT NULL),
    CHECK (status NOT IN ('paused', 'stalled') OR alarm_at_ms IS NULL),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (finished_at_ms IS NOT NULL))
) STRICT;

-- No index holds version_no, turn, seq, effects, mail, waits, deadline_ms, crashes or clock_ms: a commit that leaves its
-- run running touches none.
CREATE INDEX runs_queued ON runs (namespace, workflow, version, pool, priority DESC, due_at_ms, id)
    WHERE status = 'queued';
CREATE INDEX runs_alarm ON runs (alarm_at_ms, id)
    WHERE alarm_at_ms IS NOT NULL;
CREATE UNIQUE INDEX runs_reference ON runs (namespace, workflow, reference_id)
    WHERE reference_id IS NOT NULL;
CREATE INDEX runs_owned ON runs (session_id, id)
    WHERE session_id IS NOT NULL;
CREATE INDEX runs_to_cancel ON runs (parent_id, parent_close, id)
    WHERE parent_id IS NOT NULL AND cancel IS NULL AND status NOT IN ('completed', 'failed', 'cancelled');
CREATE INDEX runs_children ON runs (parent_id, created_at_ms, id)
    WHERE parent_id IS NOT NULL;
CREATE INDEX runs_newest ON runs (namespace, created_at_ms, id);

-- Written once, or once for each chapter, and apart from the rows that each commit rewrites.
CREATE TABLE inputs (
    run_id TEXT NOT NULL PRIMARY KEY,
    input  TEXT NOT NULL,
    tags   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    value     TEXT NOT NULL,
    run_id    TEXT NOT NULL,
    PRIMARY KEY (namespace, name, value, run_id)
) STRICT, WITHOUT ROWID;

-- How a run ended. After a retry of a failed run the row is out of date until it ends again: read it with the run's status.
CREATE TABLE ends (
    run_id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('completed', 'failed', 'cancelled')),
    output TEXT,
    error  TEXT,
    CHECK (status = 'completed' OR output IS NULL)
) STRICT, WITHOUT ROWID;

-- Never updated. The entries of an attempt that was retried stay under that attempt.
CREATE TABLE journal (
    run_id  TEXT    NOT NULL,
    chapter INTEGER NOT NULL CHECK (chapter >= 1),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    seq     INTEGER NOT NULL CHECK (seq >= 1),
    entry   TEXT    NOT NULL,
    PRIMARY KEY (run_id, chapter, attempt, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE waits (
    run_id  TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('task', 'child_result', 'sleep', 'timer', 'event')),
    address TEXT    NOT NULL,
    ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
    wait    TEXT    NOT NULL,
    PRIMARY KEY (run_id, kind, address, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox (
    run_id     TEXT    NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 1),
    message_id TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('event', 'child_result', 'cancel', 'wake')),
    name       TEXT    NOT NULL,
    ordinal    INTEGER NOT NULL,
    is_read    INTEGER NOT NULL CHECK (is_read IN (0, 1)),
    mail       TEXT    NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX inbox_message ON inbox (run_id, message_id);
CREATE INDEX inbox_unread ON inbox (run_id, number)
    WHERE is_read = 0;
CREATE INDEX inbox_result ON inbox (run_id, name, ordinal)
    WHERE is_read = 0 AND kind = 'child_result';

-- Who waits for whose end.
CREATE TABLE waiters (
    target_id TEXT    NOT NULL,
    run_id    TEXT    NOT NULL,
    ordinal   INTEGER NOT NULL CHECK (ordinal >= 0),
    PRIMARY KEY (target_id, run_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX waiters_run ON waiters (run_id);

CREATE TABLE sessions (
    id             TEXT    NOT NULL PRIMARY KEY,
    namespace      TEXT    NOT NULL,
    worker         TEXT    NOT NULL,
    poll           INTEGER NOT NULL CHECK (poll >= 0),
    expires_at_ms  INTEGER NOT NULL,
    suspect_run_id TEXT,
    is_over        INTEGER NOT NULL CHECK (is_over IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_live ON sessions (expires_at_ms, id)
    WHERE is_over = 0;

-- The versions that workers have announced, with the newest schemas of each.
CREATE TABLE workflows (
    namespace       TEXT    NOT NULL,
    workflow        TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    input_schema    TEXT,
    output_schema   TEXT,
    events          TEXT    NOT NULL,
    worker          TEXT    NOT NULL,
    announced_at_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, workflow, version)
) STRICT, WITHOUT ROWID;

-- What runs published for others to read.
CREATE TABLE run_values (
    run_id  TEXT NOT NULL,
    name    TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    run_id     TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    old_status TEXT,
    new_status TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    note       TEXT
) STRICT;

CREATE INDEX history_run ON history (run_id);
