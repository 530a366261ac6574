"""Where it runs: the deterministic loop, replay, and the execution of tasks.

What workflow code sees follows from the run's journal alone, so that it falls out the same on every replay.
"""
