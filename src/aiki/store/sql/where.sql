-- Conditions on runs, put together by store/filtering.py: which of them a list or a count is about.

-- name: where_workflow
workflow = :workflow

-- name: where_version
version = :version

-- name: where_reference_id
namespace = :namespace AND reference_id = :reference_id

-- name: where_parent_id
parent_id = :parent_id

-- name: where_schedule
schedule = :schedule AND schedule IS NOT NULL

-- name: where_created_after_ms
created_at_ms >= :created_after_ms

-- name: where_created_before_ms
created_at_ms < :created_before_ms

-- name: where_started_after_ms
started_at_ms >= :started_after_ms

-- name: where_started_before_ms
started_at_ms < :started_before_ms

-- name: where_finished_after_ms
finished_at_ms >= :finished_after_ms

-- name: where_finished_before_ms
finished_at_ms < :finished_before_ms

-- name: where_status
status = :status

-- name: where_uncompleted
-- In the words of the partial index.
status <> 'completed'

-- name: where_statuses
status IN (SELECT value FROM json_each(:statuses))                                        -- [sqlite]
status = ANY(:statuses::text[])                                                           -- [postgres]

-- name: where_search
-- Reference ids that begin with a text: from that on, to the least text that follows all of them.
(namespace = :namespace AND reference_id >= :search AND reference_id < :search_end)

-- name: where_search_id
-- The same, or ids.
(id BETWEEN :search_id AND :search_id_end
 OR (namespace = :namespace AND reference_id >= :search AND reference_id < :search_end))

-- name: where_tag
-- A tag that few runs bear, which leads the search.
id IN (
       SELECT run_id
         FROM tags
        WHERE tags.namespace = :namespace AND name = :tag AND value = :tag_value)

-- name: where_tags
-- All of :tags, a JSON object of text.
NOT EXISTS (
       SELECT 1
         FROM json_each(:tags) AS wanted                                                  -- [sqlite]
         FROM json_each_text(:tags::json) AS wanted (key, value)                          -- [postgres]
        WHERE NOT EXISTS (SELECT 1 FROM tags WHERE tags.namespace = runs.namespace AND tags.name = wanted.key
                             AND tags.value = wanted.value AND tags.run_id = runs.id))
