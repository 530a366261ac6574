"""What the `aiki` script imports first: until a command takes over, Ctrl-C ends it without a word.

The rule: nothing of `aiki` is imported before that. The imports take longer than a finger on Ctrl-C, which Python would
answer with a traceback; and as they begin with the package itself, this module stands beside it and not within.
"""

import signal

# Not where it is ignored: so a shell starts what it runs in the background.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from aiki.cli.app import main

__all__ = ["main"]
