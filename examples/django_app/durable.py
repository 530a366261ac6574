"""The server, and the client that views use. Nothing is opened here: `asgi.py` does it."""

from aiki import Server

server = Server("sqlite:///orders.db", is_embedded=True)
client = server.client()
