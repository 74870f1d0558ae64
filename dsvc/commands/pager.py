"""Shows long output through the pager that the user chose."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import IO, Final, cast

from dsvc.commands.output import Output
from dsvc.config.settings import Config

_DEFAULT: Final = "less -FRX"
_LESS: Final = "FRX"


def pager_command(config: Config, environment: Mapping[str, str]) -> str | None:
    """The pager's command line: DSVC_PAGER, core.pager, PAGER or less; None where it is empty or `cat`.

    Also None on a terminal that cannot move its cursor: there a pager asks to go on at each line, or does worse.
    """
    if environment.get("TERM") == "dumb":
        return None
    for choice in (environment.get("DSVC_PAGER"), config.get_str("core.pager"), environment.get("PAGER"), _DEFAULT):
        if choice is not None:
            return None if choice.strip() in {"", "cat"} else choice
    return None


@contextlib.contextmanager
def running_pager(command: str, out: Output, *, environment: Mapping[str, str]) -> Iterator[None]:
    """Send results to the program `command` while the block runs, and wait for it to be left.

    A pager that cannot be started is left out. One that is left early ends the block quietly.
    """
    if _is_missing(command, environment):
        yield
        return
    surroundings = {"LESS": _LESS, "LV": "-c", **environment}  # so that colours come through, as with git
    pager = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, env=surroundings)
    pipe = cast(IO[bytes], pager.stdin)
    out.flush()
    before = out.redirect(pipe)
    try:
        yield
        out.flush()
    except BrokenPipeError:
        pass
    finally:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        _wait(pager)
        out.redirect(before)


def _is_missing(command: str, environment: Mapping[str, str]) -> bool:
    import shutil

    program = command.split(maxsplit=1)[0]
    return os.sep not in program and shutil.which(program, path=environment.get("PATH")) is None


def _wait(pager: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            pager.wait()
            return
        except KeyboardInterrupt:  # Ctrl-C is the pager's to handle
            continue
