"""What holds for every test.

Examples that hypothesis draws are the same on each run: a failure in CI is a failure on the desk, and a search for new
ones is asked for (`--hypothesis-profile=search`).
"""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile("repeatable")
