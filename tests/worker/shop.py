"""A few tasks and events that the worker's tests share."""

from aiki.sdk.events import Event, Events
from aiki.sdk.task import task


class Signals(Events):
    """What the tests send."""

    go: Event[str]
    stop: Event[str]


@task
def alpha(value: str = "") -> str:
    return f"alpha {value}".strip()


@task
def beta(value: str = "") -> str:
    return f"beta {value}".strip()


@task
def gamma(value: str = "") -> str:
    return f"gamma {value}".strip()


@task
def delta(value: str = "") -> str:
    return f"delta {value}".strip()


@task
def broken(value: str = "") -> str:
    raise KeyError(value)
