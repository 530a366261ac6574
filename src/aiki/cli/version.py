"""`aiki --version`: which version is installed."""

from importlib.metadata import version

__all__ = ["show"]


def show() -> None:
    """Show the version and exit."""
    print(f"aiki {version('aiki')}")
