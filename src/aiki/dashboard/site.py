"""The dashboard's files, and what a browser may do with them.

The rule: nothing here knows of runs, or of a web framework: a path comes in, an answer goes out. Files stand under an
address that holds the digest of them all, so they are kept for ever and a new version is seen at once; the page itself is
asked for anew. It works at any base, since every address in it is relative.
"""

import gzip
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aiki.dashboard.joining import joined

__all__ = ["PAGES", "Answer", "Site", "site"]

PAGES: Final = ("overview", "runs", "workflows", "schedules", "workers", "jobs")
"""The first parts of the addresses of pages; the page itself knows what follows them."""

FILES_MAX: Final = 200
DIGEST_CHARS: Final = 12
GZIPPED_FROM_BYTES: Final = 512
ASSETS: Final = "assets"
NEVER_PAGES: Final = (ASSETS, "v1")  # what is asked for there is asked for by programs
INDEX: Final = "index.html"
STYLES: Final = "styles.css"  # all sheets, in order: nothing is drawn before they are there, so they travel as one
ENTRY: Final = "app.js"  # with all modules that it imports
SCRIPTS: Final = ("theme.js",)  # these are by themselves
DEPTH_MAX: Final = 8
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'self';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASKED_ANEW: Final = "no-cache"


class Answer(Struct, frozen=True):
    """What a browser gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _File(Struct, frozen=True):
    media_type: str
    etag: str
    plain: bytes
    zipped: bytes | None

    @classmethod
    def of(cls, name: str, content: bytes) -> "_File":
        media_type = MEDIA_TYPES[name[name.rindex(".") :]]
        zipped = gzip.compress(content, mtime=0) if len(content) >= GZIPPED_FROM_BYTES else None
        return cls(media_type, f'"{_digest(content)}"', content, zipped)

    def answer(self, headers: Mapping[str, str], *, cache: str) -> Answer:
        """Return the file, or that the browser has it; `headers` are the request's, in lower case."""
        said = {**HEADERS, "etag": self.etag, "cache-control": cache}
        known = (tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(","))
        if self.etag in known:
            return Answer(304, said, b"")
        said["content-type"] = self.media_type
        if self.zipped is not None and "gzip" in headers.get("accept-encoding", ""):
            return Answer(200, {**said, "content-encoding": "gzip"}, self.zipped)
        return Answer(200, said, self.plain)


class Site:
    """The files of one version of the dashboard.

    Args:
        contents: the files by their path; `index.html` is the page.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        assert len(contents) <= FILES_MAX
        styles = b"".join(contents[name] for name in sorted(contents) if name.endswith(".css"))
        files = {name: content for name, content in contents.items() if not name.endswith((".css", ".js", INDEX))}
        files |= {name: contents[name] for name in SCRIPTS if name in contents}
        if ENTRY in contents:
            files[ENTRY] = joined(contents, entry=ENTRY)
        self._files = {name: _File.of(name, content) for name, content in {**files, STYLES: styles}.items()}
        self.digest = _digest(b"".join(name.encode() + contents[name] for name in sorted(contents)))
        self._index = contents[INDEX].decode()
        self._pages: dict[int, _File] = {}

    @property
    def size_bytes(self) -> int:
        """What a browser loads for all of it, as it travels."""
        files = (*self._files.values(), self._page(0))
        return sum(len(file.plain if file.zipped is None else file.zipped) for file in files)

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        """Return the answer to a GET, or None if the path is none of the dashboard's.

        Args:
            path: below where the server is mounted; `""` where its slash was left out.
            headers: the request's, in lower case.

        >>> [found and found.status for found in (site().answer(path, {}) for path in ("/runs", "/v1/runs"))]
        [200, None]
        """
        parts = path.split("/")[1:]
        if not parts or len(parts) > DEPTH_MAX:
            return None
        first, *rest = parts
        if first == ASSETS and len(rest) > 1 and rest[0] == self.digest:
            file = self._files.get("/".join(rest[1:]))
            return None if file is None else file.answer(headers, cache=FOR_EVER)
        if first in PAGES or parts == [""]:
            return self._page(len(rest)).answer(headers, cache=ASKED_ANEW)
        if first not in NEVER_PAGES and "text/html" in headers.get("accept", ""):  # a person, who mistyped an address
            asked = {name: value for name, value in headers.items() if name != "if-none-match"}
            return replace(self._page(len(rest)).answer(asked, cache=ASKED_ANEW), status=404)
        return None

    def _page(self, depth: int) -> _File:
        """Return the page as it stands at an address with so many slashes before its last part."""
        if depth not in self._pages:
            assets = f"{ASSETS}/{self.digest}"
            html = self._index.format(base="../" * depth or "./", assets=assets)
            self._pages[depth] = _File.of(INDEX, html.encode())
        return self._pages[depth]


@lru_cache(1)
def site() -> Site:
    """Return the dashboard of this package."""
    return Site(dict(_found(resources.files("aiki.dashboard") / "static", "")))


def _found(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _found(entry, f"{prefix}{entry.name}/")
        elif entry.name[entry.name.rfind(".") :] in MEDIA_TYPES:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]
