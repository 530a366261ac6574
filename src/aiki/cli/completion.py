"""`aiki completion`: what a shell needs to complete what is typed.

The rule: it writes to standard output alone; where that goes is the reader's.
"""

import sys
from typing import Final, Literal

import aiki_command

__all__ = ["completion"]


KEPT: Final = {
    "bash": """echo 'eval "$(aiki completion bash)"' >> ~/.bashrc""",
    "zsh": "aiki completion zsh > ~/.zfunc/_aiki   (with  fpath+=~/.zfunc  before  compinit  in ~/.zshrc)",
    "fish": "aiki completion fish > ~/.config/fish/completions/aiki.fish",
}


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print what makes a shell complete commands and options.

    For example:

        eval "$(aiki completion bash)"                  for this shell
        echo 'eval "$(aiki completion bash)"' >> ~/.bashrc
        aiki completion zsh > ~/.zfunc/_aiki
        aiki completion fish > ~/.config/fish/completions/aiki.fish

    Args:
        shell: The shell.
    """
    if sys.stdout.isatty():
        print(f"# To have it in each new shell:  {KEPT[shell]}", file=sys.stderr)
    print(aiki_command.app(typed=None).generate_completion(prog_name="aiki", shell=shell))
    return 0
