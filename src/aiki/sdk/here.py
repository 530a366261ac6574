"""Whose code runs just here: a run's, a task's, or neither's.

The rule: one context variable tells, so code is never both. Whoever starts an author's code sets it in the context in
which it starts, and whatever that code starts inherits it.
"""

from contextvars import ContextVar
from typing import Final

from aiki.errors import NotAllowedInWorkflow

__all__ = ["is_workflow_code", "owner", "refuse_in_workflow", "set_owner"]

_owner: Final[ContextVar[object]] = ContextVar("aiki_owner", default=None)
_is_workflow_code: Final[ContextVar[bool]] = ContextVar("aiki_is_workflow_code", default=False)


def owner() -> object:
    """Return the run or the task's attempt that the code here belongs to, or None."""
    return _owner.get()


def is_workflow_code() -> bool:
    """Return whether what runs here is workflow code."""
    return _is_workflow_code.get()


def set_owner(whose: object, *, is_workflow_code: bool) -> None:
    """Say whose code runs in the current context from here on."""
    _owner.set(whose)
    _is_workflow_code.set(is_workflow_code)


def refuse_in_workflow(what: str, instead: str) -> None:
    """Raise where workflow code runs.

    Raises:
        NotAllowedInWorkflow: the message says what was done, and what to write instead.
    """
    if _is_workflow_code.get():
        raise NotAllowedInWorkflow(f"{what} in workflow code, where nothing of it would be recorded. {instead}")
