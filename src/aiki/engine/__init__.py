"""What may happen: every rule of the platform, as functions from a working set, a command and a moment.

No input or output, no clock, no chance: equal arguments give equal decisions, whoever asks and on whatever store.
"""
