"""What exists: frozen data and pure functions over it.

Nothing here reads a clock, opens a file or changes anything; both wings, the author's and the server's, meet only in
the types of this room.
"""
