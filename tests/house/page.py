"""Runs the Python blocks of one page of the documentation, in order, as one program: `python page.py PAGE`.

Blocks share their names, as a reader assumes. A block may await at its top level. What stands between the blocks is
blank in the program, so that a traceback gives the line of the page.
"""

import ast
import asyncio
import inspect
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

SLOW: Final = (
    "Executing %s took"  # asyncio's, in debug mode: a machine that has other things to do is nothing to warn of
)
FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")


def blocks(text: str, language: str) -> Iterator[str]:
    """Yield each block of a language, behind as many empty lines as stand before it on the page."""
    inside: list[str] | None = None
    opened = indent = ""
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if inside is None and fence:
            inside, opened, indent = [""] * number, fence["language"], fence["indent"]
        elif inside is not None and fence and not fence["language"]:
            if opened == language:
                yield "\n".join(inside) + "\n"
            inside = None
        elif inside is not None:
            inside.append(line.removeprefix(indent))
    assert inside is None, "the last block is not closed"


def run(page: Path) -> None:
    """Execute the blocks of a page as the module `__main__`."""
    module = ModuleType("__main__")
    module.__file__ = str(page)
    ours, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        for block in blocks(page.read_text(encoding="utf-8"), "python"):
            code = compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, vars(module)))
            else:
                exec(code, vars(module))
    finally:
        sys.modules["__main__"] = ours


if __name__ == "__main__":
    logging.getLogger("asyncio").addFilter(lambda record: not str(record.msg).startswith(SLOW))
    run(Path(sys.argv[1]))
