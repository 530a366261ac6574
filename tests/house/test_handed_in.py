"""Time, chance, threads and sockets are handed in; this is the list of who implements them.

The banned names stand once, in pyproject.toml, where an editor sees them too. Here stands, for each file that may use
some of them, which and why; a file that uses another name, or no longer uses the one that it was given, fails.
"""

import ast
import tomllib
from collections.abc import Iterator
from typing import Any, Final

from tests.house.sources import ROOT, Source, is_within, names_used, sources

ALLOWED: Final[dict[str, dict[str, str]]] = {
    "src/aiki/clock.py": {
        "time": "implements the system's clock",
        "random.SystemRandom": "implements chance",
    },
    "src/aiki/sdk/blocking.py": {
        "threading": "any number of threads share a client, and one of them starts its loop",
    },
    "src/aiki/sdk/loop_thread.py": {
        "threading": "runs an event loop beside code that does not await",
        "concurrent.futures.ThreadPoolExecutor": "ends that loop's threads while the program ends, when none can be started",
    },
    "src/aiki/sdk/http.py": {
        "asyncio.to_thread": "imports aiohttp, which takes 150 ms, while the event loop goes on",
    },
    "src/aiki/sdk/http_renewer.py": {
        "socket": "opens the file of a unix socket, which http.client cannot",
    },
    "src/aiki/server/api/serve.py": {
        "socket": "binds the port, so that one that is taken is told with who holds it",
    },
    "src/aiki/store/lane.py": {
        "threading": "a connection to SQLite is used in one thread, so that no fsync stops the event loop",
    },
    "src/aiki/worker/attempts.py": {
        "concurrent.futures.ThreadPoolExecutor": "a `def` task runs in a thread, so that it holds up no other run",
    },
    "src/aiki/worker/guard.py": {
        "threading": "judges only the thread that runs workflow code, and is installed once for all of them",
    },
    "src/aiki/worker/renewal.py": {
        "threading": "renews a session while the event loop is held up",
    },
    "src/aiki/worker/watchdog.py": {
        "threading": "looks at an activation that does not let its own thread go",
    },
}

RUFF: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"][
    "lint"
]
BANNED: Final[dict[str, dict[str, str]]] = RUFF["flake8-tidy-imports"]["banned-api"]


def test_a_module_uses_no_time_chance_thread_or_socket_but_by_the_list() -> None:
    assert [
        f"{source.at(node)} uses {name}. {BANNED[banned]['msg']}"
        for source in sources("src")
        for node, name, banned in _banned(source)
        if banned not in ALLOWED.get(source.path, {})
    ] == []


def test_the_list_names_nothing_that_is_no_longer_used() -> None:
    used = {(source.path, banned) for source in sources("src") for _, _, banned in _banned(source)}

    assert {(path, name) for path, names in ALLOWED.items() for name in names} - used == set()


def test_ruff_exempts_the_files_of_the_list_and_no_others() -> None:
    exempt = [
        pattern
        for pattern, rules in RUFF["per-file-ignores"].items()
        if "TID251" in rules and pattern.startswith("src/")
    ]

    assert sorted(exempt) == sorted(ALLOWED)
    assert [source.path for source in sources("src") if "noqa: TID251" in source.text] == []


def test_no_source_of_chance_is_made_without_a_seed() -> None:
    assert [
        source.at(node)
        for source in sources("src")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and not node.args and not node.keywords
        if any(use is node.func and name == "random.Random" for use, name in names_used(source))
    ] == []


def test_no_test_sleeps() -> None:
    assert [
        source.at(node) for source in sources("tests") for node, name in names_used(source) if name == "time.sleep"
    ] == []


def test_the_search_sees_through_aliases() -> None:
    text = "import datetime as d\nfrom time import monotonic as m\nimport os\nd.datetime.now()\nos.urandom(8)\nos.getcwd()\n"
    planted = Source(path="planted.py", text=text, tree=ast.parse(text))

    assert {banned for _, _, banned in _banned(planted)} == {"datetime.datetime.now", "time", "os.urandom"}


def _banned(source: Source) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    for node, name in names_used(source):
        for banned in BANNED:
            if is_within(name, banned):
                yield node, name, banned
