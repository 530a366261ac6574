"""What an answer over HTTP means: a message, or an error.

The rule: what a server of ours says is taken at its word, and the error that its code names is raised; what something
else on the way says can only mean that the server is away.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from aiki.errors import AikiError, PayloadTooLarge, RunNotFound, Unauthorized, Unavailable
from aiki.model.wire import Problem
from aiki.sdk.failures import error_of_problem
from aiki.sdk.http_address import Answer

__all__ = ["decoded", "error_of"]

AWAY: Final = frozenset({408, 429, 502, 503, 504})  # whoever says it, the call may be repeated
CODES: Final[Mapping[str, str]] = {  # what only HTTP knows, as the error that a caller knows
    "forbidden": Unauthorized.code,
    "body_too_large": PayloadTooLarge.code,
    "value_not_found": RunNotFound.code,
    "job_not_found": RunNotFound.code,
    "request_timeout": Unavailable.code,
}

T = TypeVar("T")


class _Details(Struct, frozen=True):
    """Problem details, of which the rest is for people."""

    code: str
    detail: str = ""
    path: str | None = None
    facts: dict[str, str | int | None] = {}


_DETAILS: Final = msgspec.json.Decoder(_Details)


def decoded(answer: Answer, decoder: msgspec.json.Decoder[T], *, url: str) -> T:
    """Return the message that an answer holds.

    Raises:
        Unavailable: it holds none: nobody of ours has answered at `url`.
    """
    try:
        return decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"what answers at {url} is no Aiki server of this version: {error}", url=url) from error


def error_of(answer: Answer, *, url: str) -> AikiError:
    """Return the error that a refusal means, whoever on the way to `url` has refused."""
    try:
        details = _DETAILS.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if answer.status in (401, 403):
            return Unauthorized(f"{url} refuses this with status {answer.status}", url=url)
        if answer.status in AWAY:
            return Unavailable(f"the Aiki server at {url} is away: status {answer.status}", url=url)
        return Unavailable(f"what answers at {url} is no Aiki server: status {answer.status}", url=url)
    facts = details.facts if details.path is None else {**details.facts, "path": details.path}
    code = Unavailable.code if answer.status in AWAY else CODES.get(details.code, details.code)
    return error_of_problem(Problem(code, details.detail, facts))
