-- Runs, what they have done (journal), what they wait for (waits), what was sent to them (inbox), who works on them
-- (sessions), and how they came to where they are (history). The same tables as SQLite's.
--
-- What the server looks up by, counts or constrains is a column. The rest of an entry, a wait or a message is the JSON of
-- its form on the wire (model/journal.py): a field that is added later needs no migration. Times are integer
-- milliseconds UTC; payloads are canonical JSON as text, since jsonb changes numbers. Every row of a run bears its id.

CREATE TABLE runs (
    id               uuid     NOT NULL PRIMARY KEY,
    namespace        text     COLLATE "C" NOT NULL,
    workflow         text     COLLATE "C" NOT NULL,
    version          text     COLLATE "C" NOT NULL,
    pool             text     COLLATE "C" NOT NULL,
    reference_id     text     COLLATE "C",
    input_hash       text     NOT NULL,
    parent_id        uuid,
    parent_close     text     NOT NULL CHECK (parent_close IN ('abandon', 'cancel')),
    root_id          uuid     NOT NULL,
    status           text     COLLATE "C" NOT NULL CHECK (status IN ('scheduled', 'queued', 'running', 'sleeping',
                                  'awaiting_event', 'awaiting_child', 'awaiting_retry', 'paused', 'stalled', 'completed',
                                  'failed', 'cancelled')),
    version_no       bigint   NOT NULL CHECK (version_no >= 0),
    epoch            bigint   NOT NULL CHECK (epoch >= 0),
    turn             bigint   NOT NULL CHECK (turn >= 0),
    attempt          bigint   NOT NULL CHECK (attempt >= 1),
    chapter          bigint   NOT NULL CHECK (chapter >= 1),
    seq              bigint   NOT NULL CHECK (seq >= 0),
    mail             bigint   NOT NULL CHECK (mail >= 0),
    effects          bigint   NOT NULL CHECK (effects >= 0),
    waits            bigint   NOT NULL CHECK (waits >= 0),
    deadline_ms      bigint,
    alarm_at_ms      bigint,
    due_at_ms        bigint,
    priority         bigint   NOT NULL,
    session_id       uuid,
    parked_on        uuid,
    claimed_poll     bigint   NOT NULL,
    crashes          bigint   NOT NULL CHECK (crashes >= 0),
    cancel           text     CHECK (cancel IN ('person', 'parent', 'timeout')),
    cancel_reason    text,
    cancel_delivered smallint NOT NULL CHECK (cancel_delivered IN (0, 1)),
    timeout_ms       bigint,
    timeout_at_ms    bigint,
    retry            text     NOT NULL,
    clock_ms         bigint,
    why              text,
    has_children     smallint NOT NULL CHECK (has_children IN (0, 1)),
    cascade          text     NOT NULL CHECK (cascade IN ('none', 'following', 'all')),
    created_at_ms    bigint   NOT NULL,
    started_at_ms    bigint,
    finished_at_ms   bigint,

    CHECK ((status = 'running') = (session_id IS NOT NULL)),
    CHECK (status <> 'queued' OR due_at_ms IS NOT NULL),
    CHECK (status <> 'scheduled' OR alarm_at_ms IS NOT NULL),
    CHECK (status NOT IN ('paused', 'stalled') OR alarm_at_ms IS NULL),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (finished_at_ms IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- No index holds version_no, turn, seq, effects, mail, waits, deadline_ms, crashes or clock_ms: a commit that leaves its
-- run running touches none, and finds room for its row on the page (fillfactor).
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
    run_id uuid NOT NULL PRIMARY KEY,
    input  text NOT NULL,
    tags   text NOT NULL
);

CREATE TABLE tags (
    namespace text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    run_id    uuid NOT NULL,
    PRIMARY KEY (namespace, name, value, run_id)
);

-- How a run ended. After a retry of a failed run the row is out of date until it ends again: read it with the run's status.
CREATE TABLE ends (
    run_id uuid NOT NULL PRIMARY KEY,
    status text COLLATE "C" NOT NULL CHECK (status IN ('completed', 'failed', 'cancelled')),
    output text,
    error  text,
    CHECK (status = 'completed' OR output IS NULL)
);

-- Never updated. The entries of an attempt that was retried stay under that attempt.
CREATE TABLE journal (
    run_id  uuid   NOT NULL,
    chapter bigint NOT NULL CHECK (chapter >= 1),
    attempt bigint NOT NULL CHECK (attempt >= 1),
    seq     bigint NOT NULL CHECK (seq >= 1),
    entry   text   NOT NULL,
    PRIMARY KEY (run_id, chapter, attempt, seq)
);

CREATE TABLE waits (
    run_id  uuid   NOT NULL,
    kind    text   COLLATE "C" NOT NULL CHECK (kind IN ('task', 'child_result', 'sleep', 'timer', 'event')),
    address text   COLLATE "C" NOT NULL,
    ordinal bigint NOT NULL CHECK (ordinal >= 0),
    wait    text   NOT NULL,
    PRIMARY KEY (run_id, kind, address, ordinal)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE inbox (
    run_id     uuid     NOT NULL,
    number     bigint   NOT NULL CHECK (number >= 1),
    message_id text     COLLATE "C" NOT NULL,
    kind       text     COLLATE "C" NOT NULL CHECK (kind IN ('event', 'child_result', 'cancel', 'wake')),
    name       text     COLLATE "C" NOT NULL,
    ordinal    bigint   NOT NULL,
    is_read    smallint NOT NULL CHECK (is_read IN (0, 1)),
    mail       text     NOT NULL,
    PRIMARY KEY (run_id, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE UNIQUE INDEX inbox_message ON inbox (run_id, message_id);
CREATE INDEX inbox_unread ON inbox (run_id, number)
    WHERE is_read = 0;
CREATE INDEX inbox_result ON inbox (run_id, name, ordinal)
    WHERE is_read = 0 AND kind = 'child_result';

-- Who waits for whose end.
CREATE TABLE waiters (
    target_id uuid   NOT NULL,
    run_id    uuid   NOT NULL,
    ordinal   bigint NOT NULL CHECK (ordinal >= 0),
    PRIMARY KEY (target_id, run_id, ordinal)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX waiters_run ON waiters (run_id);

CREATE TABLE sessions (
    id             uuid     NOT NULL PRIMARY KEY,
    namespace      text     COLLATE "C" NOT NULL,
    worker         text     NOT NULL,
    poll           bigint   NOT NULL CHECK (poll >= 0),
    expires_at_ms  bigint   NOT NULL,
    suspect_run_id uuid,
    is_over        smallint NOT NULL CHECK (is_over IN (0, 1))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX sessions_live ON sessions (expires_at_ms, id)
    WHERE is_over = 0;

-- The versions that workers have announced, with the newest schemas of each.
CREATE TABLE workflows (
    namespace       text   COLLATE "C" NOT NULL,
    workflow        text   COLLATE "C" NOT NULL,
    version         text   COLLATE "C" NOT NULL,
    input_schema    text,
    output_schema   text,
    events          text   NOT NULL,
    worker          text   NOT NULL,
    announced_at_ms bigint NOT NULL,
    PRIMARY KEY (namespace, workflow, version)
);

-- What runs published for others to read.
CREATE TABLE run_values (
    run_id  uuid NOT NULL,
    name    text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (run_id, name)
);

CREATE TABLE history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     uuid   NOT NULL,
    at_ms      bigint NOT NULL,
    old_status text,
    new_status text   NOT NULL,
    reason     text   NOT NULL,
    note       text
);

CREATE INDEX history_run ON history (run_id);
