-- What a transaction writes, each statement for many rows at once. Values are in the order of the places.
-- store/saving.py gives the order of the statements: what goes before what comes. Postgres does all DELETEs in one step and
-- all else in a second, and within a step no two statements may touch the same row.
--
-- Each is written as for one row, `INSERT ... VALUES (?, ...)`, `UPDATE t SET a = ? ... WHERE b = ?` or `DELETE FROM t WHERE
-- a = ?`; store/sql/rewriting.py makes of it what Postgres does for many.

-- name: insert_runs
-- New runs, whole.
INSERT INTO runs (
    id, namespace, workflow, version, pool, reference_id, input_hash, parent_id, parent_close, root_id, status,
    version_no, epoch, turn, attempt, chapter, seq, mail, effects, waits, deadline_ms, alarm_at_ms, due_at_ms,
    priority, session_id, parked_on, claimed_poll, crashes, cancel, cancel_reason, cancel_delivered, timeout_ms,
    timeout_at_ms, retry, clock_ms, why, has_children, cascade, created_at_ms, started_at_ms, finished_at_ms,
    pause_mail, failed_seq, schedule)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?, ?)

-- name: advance_runs
-- Runs of which nothing changed that is in an index: the commit of a turn that leaves its run running.
UPDATE runs
   SET version_no = ?, epoch = ?, turn = ?, attempt = ?, chapter = ?, seq = ?, mail = ?, effects = ?, waits = ?,
       deadline_ms = ?, parked_on = ?, claimed_poll = ?, crashes = ?, cancel_reason = ?, cancel_delivered = ?,
       timeout_at_ms = ?, clock_ms = ?, why = ?, has_children = ?, cascade = ?, started_at_ms = ?, input_hash = ?,
       pause_mail = ?, failed_seq = ?
 WHERE id = ?

-- name: move_runs
-- Runs of which something changed that is in an index.
UPDATE runs
   SET version_no = ?, epoch = ?, turn = ?, attempt = ?, chapter = ?, seq = ?, mail = ?, effects = ?, waits = ?,
       deadline_ms = ?, parked_on = ?, claimed_poll = ?, crashes = ?, cancel_reason = ?, cancel_delivered = ?,
       timeout_at_ms = ?, clock_ms = ?, why = ?, has_children = ?, cascade = ?, started_at_ms = ?, input_hash = ?,
       pause_mail = ?, failed_seq = ?,
       status = ?, alarm_at_ms = ?, due_at_ms = ?, priority = ?, session_id = ?, cancel = ?, finished_at_ms = ?
 WHERE id = ?

-- name: insert_inputs
-- The input and tags of new runs.
INSERT INTO inputs (run_id, input, tags)
VALUES (?, ?, ?)

-- name: insert_tags
-- The tags of new runs, to find them by.
INSERT INTO tags (namespace, name, value, run_id)
VALUES (?, ?, ?, ?)

-- name: update_inputs
-- The input of a run's next chapter.
UPDATE inputs
   SET input = ?
 WHERE run_id = ?

-- name: upsert_ends
-- How runs ended; one that was tried again ends again.
INSERT INTO ends (run_id, status, output, error)
VALUES (?, ?, ?, ?)
    ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, output = excluded.output, error = excluded.error

-- name: insert_entries
-- What was delivered to the code.
INSERT INTO journal (run_id, chapter, attempt, seq, entry)
VALUES (?, ?, ?, ?, ?)

-- name: clear_waits
-- All waits of runs.
DELETE FROM waits
 WHERE run_id = ?

-- name: delete_waits
-- Waits that are over.
DELETE FROM waits
 WHERE run_id = ?
   AND kind = ?
   AND address = ?
   AND ordinal = ?

-- name: upsert_waits
-- Waits that were opened, or changed: a task between attempts waits again under the same key.
INSERT INTO waits (run_id, kind, address, ordinal, wait)
VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (run_id, kind, address, ordinal) DO UPDATE SET wait = excluded.wait

-- name: clear_waiters
-- All that runs wait for.
DELETE FROM waiters
 WHERE run_id = ?

-- name: delete_waiters
-- Single waits for another's end.
DELETE FROM waiters
 WHERE target_id = ?
   AND run_id = ?
   AND ordinal = ?

-- name: insert_waiters
-- Who waits for whose end; a repeated registration is one.
INSERT INTO waiters (target_id, run_id, ordinal)
VALUES (?, ?, ?)
    ON CONFLICT DO NOTHING

-- name: clear_results
-- All unread results of others that lie in the inboxes of runs.
DELETE FROM inbox
 WHERE run_id = ?
   AND is_read = 0 AND kind = 'child_result'

-- name: delete_results
-- Unread results that nobody waits for any more.
DELETE FROM inbox
       INDEXED BY inbox_result                  -- [sqlite]
 WHERE run_id = ?
   AND name = ?
   AND ordinal = ?
   AND is_read = 0 AND kind = 'child_result'

-- name: insert_mail
-- Messages. One may have been read in the transaction that brought it.
INSERT INTO inbox (run_id, number, message_id, kind, name, ordinal, is_read, mail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: void_requests
-- Unread wake-ups and cancellations of an attempt that is over.
UPDATE inbox
   SET is_read = 1
 WHERE run_id = ?
   AND is_read = 0
   AND kind IN ('wake', 'cancel')

-- name: read_mail
-- Messages that were delivered to the code.
UPDATE inbox
   SET is_read = 1
 WHERE run_id = ?
   AND number = ?
   AND is_read = 0

-- name: unread_mail
-- Messages whose delivery a retry has cut away.
UPDATE inbox
   SET is_read = 0
 WHERE run_id = ?
   AND number = ?
   AND is_read = 1

-- name: upsert_sessions
-- Sessions, opened or renewed.
INSERT INTO sessions (id, namespace, worker, poll, expires_at_ms, suspect_run_id, is_over)
VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE
       SET poll = excluded.poll, expires_at_ms = excluded.expires_at_ms, suspect_run_id = excluded.suspect_run_id,
           is_over = excluded.is_over

-- name: insert_introductions
-- What workers have said of themselves, for servers that they do not poll.
INSERT INTO introductions (session_id, said)
VALUES (?, ?)
    ON CONFLICT (session_id) DO NOTHING

-- name: delete_schedules
-- Schedules that were deactivated.
DELETE FROM schedules
 WHERE namespace = ?
   AND name = ?

-- name: insert_schedules
-- New schedules.
INSERT INTO schedules (namespace, name, alarm_at_ms, schedule)
VALUES (?, ?, ?, ?)

-- name: update_schedules
-- Changed schedules.
UPDATE schedules
   SET alarm_at_ms = ?, schedule = ?
 WHERE namespace = ?
   AND name = ?

-- name: upsert_workflows
-- Announced versions; where workers announce different schemas for one version, the newest counts.
INSERT INTO workflows (namespace, workflow, version, input_schema, output_schema, events, worker, announced_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (namespace, workflow, version) DO UPDATE
       SET input_schema = excluded.input_schema, output_schema = excluded.output_schema, events = excluded.events,
           worker = excluded.worker, announced_at_ms = excluded.announced_at_ms

-- name: upsert_values
-- What runs publish.
INSERT INTO run_values (run_id, name, payload)
VALUES (?, ?, ?)
    ON CONFLICT (run_id, name) DO UPDATE SET payload = excluded.payload

-- name: insert_jobs
-- New bulk jobs.
INSERT INTO bulk_jobs (id, namespace, request, created_at_ms, progress, finished_at_ms)
VALUES (?, ?, ?, ?, ?, ?)

-- name: update_jobs
-- How far bulk jobs are.
UPDATE bulk_jobs
   SET progress = ?, finished_at_ms = ?
 WHERE id = ?

-- name: insert_history
-- The moves of runs, in the order in which they were made.
INSERT INTO history (run_id, at_ms, old_status, new_status, reason, note, chapter, attempt, worker)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: delete_journal
-- All that runs have done: they are deleted.
DELETE FROM journal
 WHERE run_id = ?

-- name: delete_inbox
-- All that was sent to runs that are deleted.
DELETE FROM inbox
 WHERE run_id = ?

-- name: delete_values
-- What runs published that are deleted.
DELETE FROM run_values
 WHERE run_id = ?

-- name: delete_history
-- How runs came to their ends that are deleted.
DELETE FROM history
 WHERE run_id = ?

-- name: delete_tags
-- The tags of runs that are deleted.
DELETE FROM tags
 WHERE run_id = ?

-- name: delete_inputs
-- The inputs of runs that are deleted.
DELETE FROM inputs
 WHERE run_id = ?

-- name: delete_ends
-- The ends of runs that are deleted.
DELETE FROM ends
 WHERE run_id = ?

-- name: delete_runs
-- Runs that ended long ago.
DELETE FROM runs
 WHERE id = ?

-- name: delete_sessions
-- Sessions that were over long ago.
DELETE FROM sessions
 WHERE id = ?

-- name: delete_introductions
-- What they had said.
DELETE FROM introductions
 WHERE session_id = ?

-- name: delete_jobs
-- Bulk jobs that were done long ago.
DELETE FROM bulk_jobs
 WHERE id = ?

-- name: delete_workflows
-- Versions that were announced long ago, unless they have been announced anew.
DELETE FROM workflows
 WHERE namespace = ?
   AND workflow = ?
   AND version = ?
   AND announced_at_ms = ?

-- name: drop_chapters
-- What runs did in chapters that are long over.
DELETE FROM journal
 WHERE run_id = ?
   AND chapter = ?

-- name: drop_moves
-- How they moved in these.
DELETE FROM history
 WHERE run_id = ?
   AND chapter = ?

-- name: drop_attempts
-- What runs did in attempts that many have followed.
DELETE FROM journal
 WHERE run_id = ?
   AND chapter = ?
   AND attempt = ?

-- name: drop_moves_of_attempts
-- How they moved in these.
DELETE FROM history
 WHERE run_id = ?
   AND chapter = ?
   AND attempt = ?

-- name: drop_results
-- Results of others that runs read in chapters before: nobody asks for them again.
DELETE FROM inbox
       INDEXED BY inbox_kept                    -- [sqlite]
 WHERE run_id = ?
   AND is_read = 1 AND mail <> '' AND kind = 'child_result'

-- name: trim_mail
-- Messages that runs read in chapters before: a second copy is known by the id, and no more is needed of them.
UPDATE inbox
       INDEXED BY inbox_kept                    -- [sqlite]
   SET mail = ''
 WHERE run_id = ?
   AND is_read = 1 AND mail <> ''
