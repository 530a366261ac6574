"""What people type: the `aiki` command.

A command only words what the rooms below can do; nothing can be done from a terminal that cannot be done from Python.
"""
