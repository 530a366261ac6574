"""`aiki runs ...`: start, look at and steer runs from a terminal or a script.

The rule: each command is one question to the server, answered in words for people or, with `--json`, by one document.
"""
