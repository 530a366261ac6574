"""The command itself: its help, its version, its way with what it does not know."""

import subprocess
import sys
from importlib.metadata import version

from tests.cli import shell


def test_help_names_every_command() -> None:
    done = shell.run("--help")

    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "kill -9" in done.stdout


def test_without_a_command_there_is_help() -> None:
    assert shell.run().stdout == shell.run("--help").stdout


def test_the_version_is_that_of_the_package() -> None:
    assert shell.run("--version").stdout == f"aiki {version('aiki')}\n"


def test_an_unknown_command_is_refused_with_what_would_work() -> None:
    done = shell.run("demmo")

    assert done.returncode != 0
    assert "demo" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_is_imported_only_when_a_command_is_called() -> None:
    code = "import sys, aiki_command; print([name for name in sys.modules if name.split('.')[0] == 'aiki'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"


def test_the_program_of_the_demo_is_printed_as_it_runs() -> None:
    done = shell.run("demo", "--program")

    assert done.returncode == 0
    compile(done.stdout, "restaurant.py", "exec")
    assert "import aiki" in done.stdout


def imported_by(*modules: str) -> set[str]:
    """Return the packages that are imported once these modules are."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_no_command_imports_what_it_does_not_need() -> None:
    served = {"starlette", "uvicorn", "uvloop"}

    assert imported_by("aiki.cli.runs.reading", "aiki.cli.runs.asking") & {*served, "aiohttp"} == set()
    assert imported_by("aiki.cli.worker") & {*served, "aiohttp"} == set()
    assert imported_by("aiki.cli.server", "aiki.cli.dev.command") & {"aiohttp"} == set()


def test_help_imports_nothing_of_the_package() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", shell.SCRIPTS / "aiki", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}

    assert "cyclopts" in imported
    assert imported & {"aiki", "aiohttp", "msgspec", "asyncio"} == set()
