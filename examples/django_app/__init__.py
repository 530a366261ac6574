"""Aiki inside a Django project; `asgi.py` shows how."""
