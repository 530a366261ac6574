"""A pgbouncer of the tests' own, in transaction mode before a Postgres: what it is asked goes to any of two connections.

It is the system's (`apt-get install pgbouncer`); where there is none, what needs it is skipped.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.postgres import AS_ROOT, free_port

__all__ = ["pgbouncer"]

WAIT_S: Final = 10.0
SETTINGS: Final = """
[databases]
* = host=127.0.0.1 port={postgres} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
"""


@contextmanager
def pgbouncer(postgres: int) -> Iterator[str]:
    """Run one before the Postgres on a port, and give its URL, without a database."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer: apt-get install pgbouncer")
    with tempfile.TemporaryDirectory(prefix="aiki-pgbouncer-") as folder:
        port = free_port()
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(postgres=postgres, port=port))
        Path(folder).chmod(0o755)
        process = subprocess.Popen([program, "--quiet", str(settings)], stderr=subprocess.DEVNULL, **AS_ROOT)
        try:
            _await(port)
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(WAIT_S)


def _await(port: int) -> None:
    until_s = time.monotonic() + WAIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
        except OSError:
            assert time.monotonic() < until_s, "pgbouncer does not listen"
        else:
            return
