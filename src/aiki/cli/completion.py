"""`aiki completion`: what a shell needs to complete what is typed.

The rule: it writes to standard output alone; where that goes is the reader's.
"""

from typing import Literal

import aiki_command

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print what makes a shell complete commands and options.

    For example:

        eval "$(aiki completion bash)"
        aiki completion zsh > ~/.zfunc/_aiki
        aiki completion fish > ~/.config/fish/completions/aiki.fish

    Args:
        shell: The shell.
    """
    print(aiki_command.app(typed=None).generate_completion(prog_name="aiki", shell=shell))
    return 0
