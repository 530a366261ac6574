"""For those who test code written with Aiki: the whole platform on a clock that jumps.

The real engine, store and worker: nothing in this room imitates another.
"""

from aiki.testing.environment import Environment, local
from aiki.testing.virtual import VirtualClock, VirtualLoop, virtual_time

__all__ = ["Environment", "VirtualClock", "VirtualLoop", "local", "virtual_time"]
