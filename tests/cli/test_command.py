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
