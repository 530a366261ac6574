-- Plain reads, outside of any transaction. Those of people end with what RunInfo needs; those of the server's loops
-- (alarms, sessions, queues) give ids, which are judged again under the lock. Reads use statements of load.sql too.

-- name: info
-- One run as people see it, payloads included.
SELECT runs.id, namespace, workflow, version, runs.status, created_at_ms, pool, priority, reference_id, parent_id,
       root_id, attempt, chapter, seq, epoch, crashes, why, cancel, due_at_ms, alarm_at_ms, started_at_ms,
       finished_at_ms, inputs.tags, (SELECT worker FROM sessions WHERE sessions.id = runs.session_id), schedule,
       inputs.input, ends.output, ends.error
  FROM runs
  JOIN inputs ON inputs.run_id = runs.id
  LEFT JOIN ends ON ends.run_id = runs.id AND ends.status = runs.status
 WHERE runs.id = :run_id
   AND namespace = :namespace

-- name: id_by_reference
-- The run that bears a reference id; at most one.
SELECT id
  FROM runs
 WHERE namespace = :namespace
   AND workflow = :workflow
   AND reference_id = :reference_id

-- name: list
-- A page of runs, newest first, without payloads: at most :limit after the run that was created at :before_ms with the
-- id :before_id. The conditions that are wanted, `where_...` below, go in the place of the marked line.
SELECT id, namespace, workflow, version, status, created_at_ms, pool, priority, reference_id, parent_id, root_id,
       attempt, chapter, seq, epoch, crashes, why, cancel, due_at_ms, alarm_at_ms, started_at_ms, finished_at_ms,
       (SELECT tags FROM inputs WHERE inputs.run_id = runs.id),
       (SELECT worker FROM sessions WHERE sessions.id = runs.session_id), schedule
  FROM runs
 WHERE namespace = :namespace
   AND (created_at_ms, id) < (:before_ms, :before_id)
   /* filters */
 ORDER BY created_at_ms DESC, id DESC
 LIMIT :limit

-- name: count
-- How many runs there are, by status. Conditions as in list.
SELECT status, count(*)
  FROM runs
 WHERE namespace = :namespace
   /* filters */
 GROUP BY status

-- name: ends
-- Of the runs of :ids, those that are there, and how they ended if they have.
SELECT runs.id, ends.status, ends.output, ends.error
  FROM runs
  LEFT JOIN ends ON ends.run_id = runs.id AND ends.status = runs.status
 WHERE runs.id IN (SELECT value FROM json_each(:ids))                                     -- [sqlite]
 WHERE runs.id = ANY(:ids::uuid[])                                                        -- [postgres]
   AND namespace = :namespace

-- name: announcements
-- What workers have announced, the newest first: at most :limit.
SELECT namespace, workflow, version, input_schema, output_schema, events
  FROM workflows
 ORDER BY announced_at_ms DESC, namespace, workflow, version
 LIMIT :limit

-- name: versions_of
-- Of the runs of :ids, those that are there, with the version that each is pinned to.
SELECT id, namespace, workflow, version
  FROM runs
 WHERE id IN (SELECT value FROM json_each(:ids))                                          -- [sqlite]
 WHERE id = ANY(:ids::uuid[])                                                             -- [postgres]

-- name: journal_place
-- Where a run's journal stands.
SELECT chapter, attempt, seq, epoch, session_id
  FROM runs
 WHERE id = :run_id

-- name: namespace
-- The namespace of a run.
SELECT namespace
  FROM runs
 WHERE id = :run_id

-- name: value
-- What a run published under a name.
SELECT payload
  FROM run_values
  JOIN runs ON runs.id = run_values.run_id
 WHERE run_id = :run_id
   AND name = :name
   AND namespace = :namespace

-- name: history
-- How a run came to where it stands, oldest first, at most :limit.
SELECT run_id, at_ms, old_status, new_status, reason, note
  FROM history
 WHERE run_id = :run_id
 ORDER BY id
 LIMIT :limit

-- name: list_schedules
-- A page of schedules by name: at most :limit after the name :after.
SELECT schedule
  FROM schedules
 WHERE namespace = :namespace
   AND name > :after
 ORDER BY name
 LIMIT :limit

-- name: schedule
-- One schedule.
SELECT schedule
  FROM schedules
 WHERE namespace = :namespace
   AND name = :name

-- name: started_by_schedule
-- What a schedule has started last, newest first, at most :limit.
SELECT id, status, created_at_ms
  FROM runs
 WHERE namespace = :namespace
   AND schedule = :name
   AND schedule IS NOT NULL
 ORDER BY created_at_ms DESC, id DESC
 LIMIT :limit

-- name: next_tick
-- When the nearest tick of any schedule is due; NULL if there is none.
SELECT min(alarm_at_ms)
  FROM schedules
 WHERE alarm_at_ms IS NOT NULL

-- name: due_schedules
-- The schedules of which a tick is due, earliest first, at most :limit.
SELECT namespace, name
  FROM schedules
 WHERE alarm_at_ms <= :now_ms
 ORDER BY alarm_at_ms, namespace, name
 LIMIT :limit

-- name: next_alarm
-- When the nearest alarm is due; NULL if there is none.
SELECT min(alarm_at_ms)
  FROM runs
 WHERE alarm_at_ms IS NOT NULL

-- name: due_runs
-- The runs whose alarm is due, earliest first, at most :limit.
SELECT id, status
  FROM runs
 WHERE alarm_at_ms <= :now_ms
 ORDER BY alarm_at_ms, id
 LIMIT :limit

-- name: expired_sessions
-- Sessions that nobody renewed in time, at most :limit.
SELECT id
  FROM sessions
 WHERE is_over = 0
   AND expires_at_ms <= :now_ms
 ORDER BY expires_at_ms, id
 LIMIT :limit

-- name: live_sessions
-- Sessions that are not over, at most :limit.
SELECT id
  FROM sessions
 WHERE is_over = 0
 ORDER BY expires_at_ms, id
 LIMIT :limit

-- name: unreturned_sessions
-- Sessions that are over while runs are still theirs, at most :limit: their return was interrupted.
SELECT DISTINCT session_id
  FROM runs
  JOIN sessions ON sessions.id = runs.session_id
 WHERE session_id IS NOT NULL
   AND is_over = 1
 LIMIT :limit

-- name: ready_queues
-- Those of some queues in which runs wait. On SQLite, :rows is a JSON array of arrays.
SELECT namespace, workflow, version, pool
  FROM rows(namespace text, workflow text, version text, pool text)                       -- [postgres]
  FROM (SELECT json_extract(value, '$[0]') AS namespace, json_extract(value, '$[1]') AS workflow,       -- [sqlite]
               json_extract(value, '$[2]') AS version, json_extract(value, '$[3]') AS pool              -- [sqlite]
          FROM json_each(:rows)) AS rows                                                  -- [sqlite]
 WHERE EXISTS (
       SELECT 1
         FROM runs
        WHERE status = 'queued'
          AND runs.namespace = rows.namespace
          AND runs.workflow = rows.workflow
          AND runs.version = rows.version
          AND runs.pool = rows.pool)

-- name: queues
-- The queues in which runs wait, at most :limit.
SELECT namespace, workflow, version, pool
  FROM runs
 WHERE status = 'queued'
 GROUP BY namespace, workflow, version, pool
 LIMIT :limit

-- name: waiting_runs
-- The first runs of one queue that have been ready since before :due_before_ms, at most :limit.
SELECT id, priority, due_at_ms
  FROM runs
 WHERE status = 'queued'
   AND namespace = :namespace
   AND workflow = :workflow
   AND version = :version
   AND pool = :pool
   AND due_at_ms <= :due_before_ms
 ORDER BY priority DESC, due_at_ms, id
 LIMIT :limit

-- name: undelivered
-- Runs that have been queued since before :due_before_ms, at most :limit.
SELECT id
  FROM runs
 WHERE status = 'queued'
   AND due_at_ms <= :due_before_ms
 LIMIT :limit

-- name: ended_runs
-- Runs that ended until :until_ms, from the one that ended at :after_ms with the id :after_id on, in that order: at most
-- :limit. With each, about how many rows it has, and whether it is kept: its parent goes on, or its children have still to
-- be told.
SELECT runs.id, runs.parent_id, runs.finished_at_ms, runs.seq + runs.mail,
       runs.alarm_at_ms IS NOT NULL OR (parents.id IS NOT NULL AND parents.finished_at_ms IS NULL)
  FROM runs
  LEFT JOIN runs AS parents ON parents.id = runs.parent_id
 WHERE runs.finished_at_ms IS NOT NULL
   AND runs.finished_at_ms <= :until_ms
   AND (runs.finished_at_ms, runs.id) > (:after_ms, :after_id)
 ORDER BY runs.finished_at_ms, runs.id
 LIMIT :limit

-- name: oldest_end
-- When the run ended that ended first after :after_ms; NULL if there is none.
SELECT min(finished_at_ms)
  FROM runs
 WHERE finished_at_ms IS NOT NULL
   AND finished_at_ms > :after_ms

-- name: over_sessions
-- Sessions that have been over since before :until_ms, at most :limit.
SELECT id
  FROM sessions
 WHERE is_over = 1
   AND expires_at_ms <= :until_ms
 ORDER BY expires_at_ms, id
 LIMIT :limit

-- name: where_workflow
-- Conditions on runs, put together by store/reading.py.
workflow = :workflow

-- name: where_version
version = :version

-- name: where_reference_id
reference_id = :reference_id

-- name: where_parent_id
parent_id = :parent_id

-- name: where_schedule
schedule = :schedule

-- name: where_after_ms
started_at_ms >= :after_ms

-- name: where_until_ms
started_at_ms < :until_ms

-- name: where_statuses
status IN (SELECT value FROM json_each(:statuses))                                        -- [sqlite]
status = ANY(:statuses::text[])                                                           -- [postgres]

-- name: where_tags
-- All of :tags, a JSON object of text.
NOT EXISTS (
       SELECT 1
         FROM json_each(:tags) AS wanted                                                  -- [sqlite]
         FROM json_each_text(:tags::json) AS wanted (key, value)                          -- [postgres]
        WHERE NOT EXISTS (SELECT 1 FROM tags WHERE tags.namespace = runs.namespace AND tags.name = wanted.key
                             AND tags.value = wanted.value AND tags.run_id = runs.id))
