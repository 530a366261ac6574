"""Durable workflows in plain Python. Everything that users import is here; nobody imports a submodule."""
