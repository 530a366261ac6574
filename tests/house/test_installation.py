"""What `pip install aiki` brings: few packages, all of them small.

Counted on what is installed here, from the requirements of pyproject.toml down.
"""

import tomllib
from importlib.metadata import Distribution, distribution
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.sources import ROOT

PACKAGES_MAX: Final = 28
INSTALLED_MB_MAX: Final = 60

DEPENDENCIES: Final[list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "dependencies"
]


def test_an_installation_stays_at_28_packages_aiki_included() -> None:
    packages = {"aiki", *_installed()}

    assert len(packages) <= PACKAGES_MAX, sorted(packages)


def test_an_installation_stays_at_60_megabytes() -> None:
    sizes_mb = {name: _size_bytes(found) / 1e6 for name, found in _installed().items()}
    own_mb = sum(path.stat().st_size for path in (ROOT / "src").rglob("*") if path.is_file()) / 1e6

    assert sum(sizes_mb.values()) + own_mb <= INSTALLED_MB_MAX, sizes_mb


def _installed() -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    wanted = [Requirement(text) for text in DEPENDENCIES]
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in found or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        found[name] = distribution(name)
        wanted += [Requirement(text) for text in found[name].requires or ()]
    return found


def _size_bytes(found: Distribution) -> int:
    return sum(file.size or 0 for file in found.files or ())
