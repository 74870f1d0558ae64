"""The `dsvc completion` command, and the answers it gives to shells."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from dsvc.commands.context import Context

_VARIABLE = "_DSVC_COMPLETE"


def command(
    context: Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="Which shell.")],
) -> None:
    """Print the script that makes a shell complete dsvc's commands and options.

    For bash: dsvc completion bash > ~/.local/share/bash-completion/completions/dsvc

    For zsh: dsvc completion zsh > a folder of $fpath, in a file named _dsvc

    For fish: dsvc completion fish > ~/.config/fish/completions/dsvc.fish
    """
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="dsvc", complete_var=_VARIABLE, shell=shell)
    context.out.line(script.strip())


def complete(root: Any, instruction: str) -> int:
    """Answer what a shell asks in `instruction`, such as `complete_bash`, about the words in its variables."""
    from typer._completion_classes import completion_init
    from typer.completion import shell_complete

    completion_init()
    return int(shell_complete(root, {}, "dsvc", _VARIABLE, instruction))
