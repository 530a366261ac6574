"""`aiki dev`: a server, its database file and workers with reload, in one command.

The rule: the server lives in the command's own process and each target's worker in one beside it, so that new code means
a new process, and nothing of the old code is left in it.
"""
