-- What a transaction on Postgres loads beside runs and sessions, for a whole batch at once. All parts that a step needs go
-- to the server together, as one statement (store/postgres/folding.py), so each has the same five columns: id, other,
-- number, body and error. A part that looks for the names of runs is asked before runs are locked, to know which, and again after,
-- to know that these were all (store/postgres/loading.py).

-- name: references
-- The runs that bear reference ids; at most one for each.
SELECT runs.id, NULL, place, NULL, NULL
  FROM rows(place bigint, namespace text, workflow text, reference_id text)
  JOIN runs
    ON runs.namespace = rows.namespace
   AND runs.workflow = rows.workflow
   AND runs.reference_id = rows.reference_id

-- name: owned
-- The runs that sessions own, at most `most` of each.
SELECT session_id, owned.id, place, NULL, NULL
  FROM rows(place bigint, session_id uuid, most bigint)
 CROSS JOIN LATERAL (
       SELECT id
         FROM runs
        WHERE runs.session_id = rows.session_id
        ORDER BY id
        LIMIT rows.most) AS owned

-- name: open_of
-- Runs of schedules that have not ended, at most `most` of each.
SELECT open.id, NULL, place, NULL, NULL
  FROM rows(place bigint, namespace text, name text, most bigint)
 CROSS JOIN LATERAL (
       SELECT id
         FROM runs
        WHERE runs.namespace = rows.namespace
          AND runs.schedule = rows.name
          AND runs.schedule IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled')
        ORDER BY id
        LIMIT rows.most) AS open

-- name: waiters_of_scheduled
-- Who waits for the end of those that `open_of` finds: a tick may cancel them.
SELECT waiters.target_id, waiters.run_id, ordinal, NULL, NULL
  FROM rows(namespace text, name text, most bigint)
 CROSS JOIN LATERAL (
       SELECT id
         FROM runs
        WHERE runs.namespace = rows.namespace
          AND runs.schedule = rows.name
          AND runs.schedule IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled')
        ORDER BY id
        LIMIT rows.most) AS open
  JOIN waiters ON waiters.target_id = open.id

-- name: cascading
-- Children of runs that are open and not asked to cancel, those that the run's cascade says, at most `most` of each.
SELECT parent.id, child.id, NULL, NULL, NULL
  FROM rows(parent_id uuid, most bigint)
  JOIN runs AS parent ON parent.id = rows.parent_id AND parent.cascade <> 'none'
 CROSS JOIN LATERAL (
       SELECT id
         FROM runs
        WHERE runs.parent_id = parent.id
          AND runs.parent_id IS NOT NULL AND cancel IS NULL AND status NOT IN ('completed', 'failed', 'cancelled')
          AND (parent.cascade = 'all' OR runs.parent_close = 'cancel')
        ORDER BY runs.parent_close, id
        LIMIT rows.most) AS child

-- name: waiters
-- Who waits for the end of runs.
SELECT waiters.target_id, waiters.run_id, ordinal, NULL, NULL
  FROM rows(target_id uuid)
  JOIN waiters ON waiters.target_id = rows.target_id

-- name: waiters_of_lost
-- Who waits for the end of the runs of sessions that are asked to cancel: once too often lost, they end.
SELECT waiters.target_id, waiters.run_id, ordinal, NULL, NULL
  FROM rows(session_id uuid, most bigint)
 CROSS JOIN LATERAL (
       SELECT id, cancel
         FROM runs
        WHERE runs.session_id = rows.session_id
        ORDER BY id
        LIMIT rows.most) AS owned
  JOIN waiters ON waiters.target_id = owned.id
 WHERE owned.cancel IS NOT NULL

-- name: waiters_of_children
-- Who waits for the end of those that `cascading` finds: cancelled before they began, they end.
SELECT waiters.target_id, waiters.run_id, ordinal, NULL, NULL
  FROM rows(parent_id uuid, most bigint)
  JOIN runs AS parent ON parent.id = rows.parent_id AND parent.cascade <> 'none'
 CROSS JOIN LATERAL (
       SELECT id
         FROM runs
        WHERE runs.parent_id = parent.id
          AND runs.parent_id IS NOT NULL AND cancel IS NULL AND status NOT IN ('completed', 'failed', 'cancelled')
          AND (parent.cascade = 'all' OR runs.parent_close = 'cancel')
        ORDER BY runs.parent_close, id
        LIMIT rows.most) AS child
  JOIN waiters ON waiters.target_id = child.id

-- name: ends
-- How runs ended, of those that have.
SELECT ends.run_id, ends.status, NULL, output, error
  FROM rows(run_id uuid)
  JOIN ends ON ends.run_id = rows.run_id
  JOIN runs ON runs.id = ends.run_id AND runs.status = ends.status

-- name: mail
-- The unread messages of runs above a number, oldest first, at most `most` of each.
SELECT rows.run_id, NULL, unread.number, unread.mail, NULL
  FROM rows(run_id uuid, after bigint, most bigint)
 CROSS JOIN LATERAL (
       SELECT number, mail
         FROM inbox
        WHERE inbox.run_id = rows.run_id
          AND number > rows.after
          AND is_read = 0
        ORDER BY number
        LIMIT rows.most) AS unread

-- name: messages
-- Of some messages, those that are in an inbox already, read or not.
SELECT inbox.run_id, inbox.message_id, NULL, NULL, NULL
  FROM rows(run_id uuid, message_id text)
  JOIN inbox ON inbox.run_id = rows.run_id AND inbox.message_id = rows.message_id

-- name: waits_at
-- The open waits of runs for one address.
SELECT waits.run_id, NULL, place, wait, NULL
  FROM rows(place bigint, run_id uuid, kind text, address text)
  JOIN waits ON waits.run_id = rows.run_id AND waits.kind = rows.kind AND waits.address = rows.address

-- name: waits_of_kind
-- The open waits of runs of one kind.
SELECT waits.run_id, NULL, place, wait, NULL
  FROM rows(place bigint, run_id uuid, kind text)
  JOIN waits ON waits.run_id = rows.run_id AND waits.kind = rows.kind

-- name: journals
-- The entries of one attempt of one chapter of runs, in order.
SELECT journal.run_id, NULL, seq, entry, NULL
  FROM rows(run_id uuid, chapter bigint, attempt bigint)
  JOIN journal ON journal.run_id = rows.run_id AND journal.chapter = rows.chapter AND journal.attempt = rows.attempt
 ORDER BY journal.run_id, seq

-- name: now
-- The database's time, in milliseconds, and whether it is read-only.
SELECT NULL, NULL, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       current_setting('transaction_read_only'), NULL

-- name: inputs
-- Input and tags of runs.
SELECT inputs.run_id, NULL, NULL, input, tags
  FROM rows(run_id uuid)
  JOIN inputs ON inputs.run_id = rows.run_id

-- name: all_waits
-- All open waits of runs.
SELECT waits.run_id, NULL, NULL, wait, NULL
  FROM rows(run_id uuid)
  JOIN waits ON waits.run_id = rows.run_id

-- name: first_entries
-- The journals of runs from their beginning, in order: entries up to `until`, of which the first is always there, and the
-- others as long as they are not longer than `bytes_max` together.
SELECT rows.run_id, NULL, page.seq, page.entry, NULL
  FROM rows(run_id uuid, chapter bigint, attempt bigint, until bigint, bytes_max bigint)
 CROSS JOIN LATERAL (
       SELECT seq, entry, sum(length(entry)) OVER (ORDER BY seq) AS size
         FROM journal
        WHERE journal.run_id = rows.run_id
          AND journal.chapter = rows.chapter
          AND journal.attempt = rows.attempt
          AND seq <= rows.until) AS page
 WHERE page.size <= rows.bytes_max
    OR page.seq = 1

-- name: ready
-- The first runs of queues, locked, at most `most` of each: the highest priority, then what has been due for longest. What
-- another server holds is left out: it is about to be taken, or will be found again.
SELECT ready.id, NULL, place, NULL, NULL
  FROM rows(place bigint, namespace text, workflow text, version text, pool text, most bigint)
 CROSS JOIN LATERAL (
       SELECT id
         FROM runs
        WHERE status = 'queued'
          AND runs.namespace = rows.namespace
          AND runs.workflow = rows.workflow
          AND runs.version = rows.version
          AND runs.pool = rows.pool
        ORDER BY priority DESC, due_at_ms, id
        LIMIT rows.most
          FOR UPDATE SKIP LOCKED) AS ready
