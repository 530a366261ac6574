-- Schedules, and which of them started a run.
--
-- What a schedule is and where it stands is the JSON of model/schedule.py, ScheduleRow; a column is what is looked up by.

CREATE TABLE schedules (
    namespace   text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    alarm_at_ms bigint,
    schedule    text NOT NULL,
    PRIMARY KEY (namespace, name)
);

CREATE INDEX schedules_alarm ON schedules (alarm_at_ms, namespace, name)
    WHERE alarm_at_ms IS NOT NULL;

ALTER TABLE runs ADD COLUMN schedule text COLLATE "C";

CREATE INDEX runs_of_schedule ON runs (namespace, schedule, created_at_ms, id)
    WHERE schedule IS NOT NULL;
CREATE INDEX runs_of_schedule_open ON runs (namespace, schedule, id)
    WHERE schedule IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled');
