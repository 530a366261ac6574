"""Durable workflows in plain Python. Everything that users import is here; nobody imports a submodule.

from aiki import Run, task, workflow
"""

from aiki.embedded import Server
from aiki.errors import (
    AikiError,
    DatabaseInUse,
    DirectTaskCall,
    Diverged,
    InvalidInput,
    NameTaken,
    NonRetryable,
    NotAllowedInWorkflow,
    NotSerializable,
    PayloadTooLarge,
    ReferenceConflict,
    RetryAfter,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunNotFound,
    ScheduleConflict,
    ScheduleNotFound,
    TaskFailed,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from aiki.local import local
from aiki.model.retry import Retry
from aiki.sdk.blocking import BlockingClient, BlockingHandle, BlockingScheduleHandle
from aiki.sdk.bulk import BulkJob, BulkJobInfo
from aiki.sdk.child import ChildHandle
from aiki.sdk.client import Client
from aiki.sdk.current import TaskContext, current_run, current_task
from aiki.sdk.ended import WaitResult
from aiki.sdk.events import Event, EventResult, Events
from aiki.sdk.handle import Handle
from aiki.sdk.info import RunCount, RunInfo, RunPage
from aiki.sdk.multicast import EventOutcome
from aiki.sdk.run import Run, SleepResult
from aiki.sdk.schedule import Schedule, ScheduledVersion, schedule
from aiki.sdk.schedule_handle import ScheduleHandle
from aiki.sdk.schedule_info import ScheduleInfo, SchedulePage
from aiki.sdk.task import Task, task
from aiki.sdk.workflow import Version, Workflow, workflow
from aiki.server.principals import ApiKey, Principal, Role
from aiki.worker.subscribers import RedisSubscriber
from aiki.worker.worker import Worker

__all__ = [
    "AikiError",
    "ApiKey",
    "BlockingClient",
    "BlockingHandle",
    "BlockingScheduleHandle",
    "BulkJob",
    "BulkJobInfo",
    "ChildHandle",
    "Client",
    "DatabaseInUse",
    "DirectTaskCall",
    "Diverged",
    "Event",
    "EventOutcome",
    "EventResult",
    "Events",
    "Handle",
    "InvalidInput",
    "NameTaken",
    "NonRetryable",
    "NotAllowedInWorkflow",
    "NotSerializable",
    "PayloadTooLarge",
    "Principal",
    "RedisSubscriber",
    "ReferenceConflict",
    "Retry",
    "RetryAfter",
    "Role",
    "Run",
    "RunCancelled",
    "RunCount",
    "RunEnded",
    "RunFailed",
    "RunInfo",
    "RunNotFound",
    "RunPage",
    "Schedule",
    "ScheduleConflict",
    "ScheduleHandle",
    "ScheduleInfo",
    "ScheduleNotFound",
    "SchedulePage",
    "ScheduledVersion",
    "Server",
    "SleepResult",
    "Task",
    "TaskContext",
    "TaskFailed",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "Version",
    "WaitResult",
    "Worker",
    "Workflow",
    "current_run",
    "current_task",
    "local",
    "schedule",
    "task",
    "workflow",
]
