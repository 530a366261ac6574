"""What is remembered: rows and SQL, and no rules.

A store loads the rows that a batch names, lets the engine decide, and saves what changed, atomically. It never judges
what it saves.
"""
