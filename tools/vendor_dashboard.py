"""Fetches the dashboard's libraries from npm into the package: `make vendor`.

The rule: what is served is what stands here. Each package is named with its version and the digest that npm states; each
file that is made of it with its own digest, to which a house test holds the files in the package.
"""

import base64
import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["LIBRARIES", "VENDOR", "Library", "digest"]

VENDOR: Final = Path(__file__).parents[1] / "src/aiki/dashboard/static/vendor"


class Library(NamedTuple):
    """One file of one package.

    Attributes:
        integrity: SHA-512 of the package, as npm states it.
        inside: the file's path in the package; `name` is what it is called here.
        sha256: of the file as it stands here.
    """

    package: str
    version: str
    integrity: str
    inside: str
    name: str
    sha256: str


# fmt: off
LIBRARIES: Final = (
    Library("preact", "11.2.0", "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==", "dist/preact.mjs", "preact.js", "7bf70cba2a19a8062c061365e853a24aceb4533732e82215c70bbbe395c7efbe"),
    Library("preact", "11.2.0", "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==", "hooks/dist/hooks.mjs", "hooks.js", "6448cf5caa7cccdd03436d46e9c9361932b6bdfb0fc86a7078a78d503d6b7fd3"),
    Library("htm", "3.1.1", "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==", "dist/htm.module.js", "htm.js", "efa52d4676d8c0a8ffe53b35e9717a644867983184c043c2cd24356659e979a0"),
    Library("@preact/signals-core", "1.14.5", "sha512-vcRv7Ityz5JVmeiVqIluLFzT/PDS/AlhHUpw3/aUWqcVUs6bDGIPXE/6RSC4evBNWYvnniozg5Syfj33al3gkg==", "dist/signals-core.mjs", "signals-core.js", "04bccaf5db585a57116b038c8f1e60d66673dd76aed30395f20011b62f25b31b"),
    Library("@preact/signals", "2.11.4", "sha512-Rb+5RPo9gWSaHtzJeauhHxiC8KP/IF2DEPkHPEOGOnuy2wnJzRqyeLRankUCYd6ADqtxS6GnWGv6Ie343d8aYw==", "dist/signals.mjs", "signals.js", "3f64d627b4319e490085d1884568bb77d8539959a90634b10ecbb95b084df317"),
)
# fmt: on
SPECIFIERS: Final = {  # a browser knows no bare names, and an import map would be a script inline
    '"preact"': '"./preact.js"',
    '"preact/hooks"': '"./hooks.js"',
    '"@preact/signals-core"': '"./signals-core.js"',
}


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Write every file, and the licence of every package; say which digest is not the one that stands here."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for library in LIBRARIES:
            package = _fetched(library, Path(folder))
            with tarfile.open(package) as archive:
                content = _file(archive, library.inside).decode()
                licence = _file(archive, "LICENSE")
            for bare, relative in SPECIFIERS.items():
                content = content.replace(f"from{bare}", f"from{relative}")
            content = content.partition("\n//# sourceMappingURL=")[0].rstrip() + "\n"
            made = f"/* {library.package} {library.version}; its licence is {_licence(library)} */\n{content}".encode()
            (VENDOR / library.name).write_bytes(made)
            (VENDOR / _licence(library)).write_bytes(licence)
            if digest(made) != library.sha256:
                print(f"{library.name}: its digest is {digest(made)}")


def _fetched(library: Library, folder: Path) -> Path:
    said = subprocess.run(
        ["npm", "pack", "--silent", f"{library.package}@{library.version}"],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    package = folder / said.stdout.strip().splitlines()[-1]
    found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != library.integrity:
        raise SystemExit(f"{library.package} {library.version} is not what it was: {found}")
    return package


def _file(archive: tarfile.TarFile, inside: str) -> bytes:
    found = archive.extractfile(f"package/{inside}")
    assert found is not None, inside
    return found.read()


def _licence(library: Library) -> str:
    return f"LICENSE.{library.package.rpartition('/')[2]}.txt"


if __name__ == "__main__":
    main()
