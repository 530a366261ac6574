-- What people look for among many finished runs is found by an index: counts by status, what ended lately, the runs of a
-- workflow, those in any status but the one that most are in, and reference ids that are half known.
--
-- Each is written when a run is made, moves or ends, and never by a commit that leaves its run running.

CREATE INDEX runs_counted ON runs (namespace, workflow, version, status);
CREATE INDEX runs_finished ON runs (namespace, finished_at_ms, status)
    WHERE finished_at_ms IS NOT NULL;
CREATE INDEX runs_of_workflow ON runs (namespace, workflow, created_at_ms, id);
CREATE INDEX runs_in_status ON runs (namespace, status, created_at_ms, id)
    WHERE status <> 'completed';
CREATE INDEX runs_named ON runs (namespace, reference_id)
    WHERE reference_id IS NOT NULL;
