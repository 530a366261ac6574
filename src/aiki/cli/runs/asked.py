"""What every command on runs shares: where the server is, how its answer is printed, and how a refusal ends.

The rule: with `--json` exactly one JSON document is printed, whatever the answer.
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from aiki.cli.interruption import run_until_signalled
from aiki.cli.refusal import Refusal, refuse
from aiki.errors import AikiError
from aiki.model.payload import Json
from aiki.sdk.client import Client

__all__ = [
    "FLAG",
    "TYPED_JSON",
    "USUAL",
    "Server",
    "ask",
    "parsed_duration",
    "parsed_json",
    "parsed_moment",
    "parsed_tags",
]

FLAG: Final = Parameter(negative=())
TYPED_JSON: Final = Parameter(allow_leading_hyphen=True)  # `-` for standard input, and negative numbers
TIMEOUT_S: Final = 5.0  # a person waits; shorter than a program would
STDIN: Final = "-"
INPUT_BYTES_MAX: Final = 8 * 1024 * 1024
SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


@Parameter(name="*")
@dataclass(frozen=True)
class Server:
    """The server that is asked, and how it answers.

    Args:
        url: The server's address; by default AIKI_URL, else http://localhost:9850. The key is taken from AIKI_API_KEY.
        namespace: Of the runs.
        as_json: Print one JSON document.
    """

    url: str | None = None
    namespace: str = "default"
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False


USUAL: Final = Server()


def ask(command: str, server: Server, question: Callable[[Client], Awaitable[int]], *, group: str = "runs") -> int:
    """Put a question to the server, to its end or until Ctrl-C. A command of no group has an empty one.

    Returns:
        The exit status: the question's own, or that of a refusal.
    """

    async def asked() -> int:
        async with Client(server.url, namespace=server.namespace, timeout=TIMEOUT_S) as client:
            return await question(client)

    try:
        return run_until_signalled(asked)
    except (AikiError, Refusal, ValueError) as error:
        return refuse(f"{group} {command}".strip(), error, as_json=server.as_json)


def parsed_json(text: str, what: str) -> Json:
    """Return the JSON that was typed, or that standard input holds where `-` was.

    Raises:
        Refusal: it is none.
    """
    given = sys.stdin.buffer.read(INPUT_BYTES_MAX) if text == STDIN else text.encode("utf-8", "surrogateescape")
    try:
        found: Json = msgspec.json.decode(given)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        where = "standard input" if text == STDIN else repr(text if len(text) < 80 else f"{text[:77]}...")
        raise Refusal(
            f'{what} is no JSON ({error}): {where}. Write an object, in quotes for the shell: \'{{"order_id": "o-1"}}\''
        ) from None
    return found


def parsed_tags(texts: list[str] | None) -> dict[str, str]:
    """Return tags that were typed as `name=value`, or as the dashboard writes them: `name:value`.

    Raises:
        Refusal: one has neither.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, parting, value = text.partition("=" if "=" in text else ":")
        if not parting or not name:
            raise Refusal(f"a tag is {text!r}: write name=value")
        found[name] = value
    return found


def parsed_duration(text: str, what: str) -> timedelta:
    """Return a duration that was typed as seconds, or with a unit: `90`, `1.5s`, `5m`, `2h`, `1d`.

    >>> parsed_duration("5m", "--delay")
    datetime.timedelta(seconds=300)

    Raises:
        Refusal: it is none.
    """
    number = text.rstrip("msdh")
    factor = SECONDS.get(text[len(number) :] or "s")
    try:
        if factor is not None:
            return timedelta(seconds=float(number) * factor)
    except (ValueError, OverflowError):
        pass
    raise Refusal(f"{what} is {text!r}: write seconds, or a number with ms, s, m, h or d, such as 90, 5m or 2h")


def parsed_moment(text: str, what: str, *, now: datetime) -> datetime:
    """Return a moment that was typed as a date and time, or as how long ago: `2025-03-01T09:00`, `90m`.

    A moment without a zone is of this machine's.

    Raises:
        Refusal: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return moment.astimezone() if moment.tzinfo is None else moment
    try:
        return now - parsed_duration(text, what)
    except (Refusal, OverflowError):
        raise Refusal(f"{what} is {text!r}: write 2025-03-01, 2025-03-01T09:00, or how long ago, such as 2h") from None
