"""Where the process starts. What the far end of a connection runs takes a short way, for somebody waits for it."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

_DOOR = ["hub", "shell", "--hub", "--user", "--key"]  # the words around the values in a line of authorized_keys
_ALLOCATIONS = 50_000  # between searches for cycles: there are few, and millions of tuples to look through


def main() -> None:
    """Run the command line of this process and leave it with the command's exit code."""
    gc.set_threshold(_ALLOCATIONS, 50, 1000)
    words = sys.argv[1:]
    if words[:2] == ["hub", "serve"] and len(words) == 3 and _is_plain(words[2]):
        code = _serve(words[2])
    elif len(words) == 8 and [*words[:3], words[4], words[6]] == _DOOR and _is_plain(words[3]):
        code = _shell(words[3], words[5], words[7])
    else:
        from dsvc.commands.entry import main as run_command_line

        code = run_command_line()
    # The interpreter searches all that is left for cycles before it ends, which took a sixth of a short command.
    gc.freeze()
    sys.exit(code)


def _is_plain(path: str) -> bool:
    """Say whether nothing asks for what only the parser knows, nor a person for an answer."""
    if path.startswith("-") or os.isatty(0) or os.isatty(1):
        return False
    return not {"_DSVC_COMPLETE", "DSVC_DATE", "DSVC_DEBUG"} & os.environ.keys()


def _serve(path: str) -> int:
    """Do what `dsvc hub serve PATH` does without the command line's parser, which takes as long as all the rest."""
    import time

    from dsvc.actions.hub import far_path, serve_folder
    from dsvc.remotes.ssh.byte_streams import standard_stream

    try:
        home = os.environ.get("HOME")
        place = far_path(path, home=Path(home) if home else None, below=None)
        serve_folder(Path(os.getcwd()) / place, standard_stream(), now=time.time_ns() // 1000)
    except BaseException as error:  # noqa: BLE001
        from dsvc.commands.entry import report_failure

        return report_failure(error)
    return 0


def _shell(hub: str, user: str, key: str) -> int:
    """Do what `dsvc hub shell` does, in the form in which it stands in an authorized_keys file."""
    from datetime import datetime

    from dsvc.commands.hub_door import open_door
    from dsvc.commands.interpreter import FRAMES

    sys.setrecursionlimit(FRAMES)
    try:
        folder = Path(os.getcwd()) / hub
        open_door(folder, user=user, key=key, environment=os.environ, moment=lambda: datetime.now().astimezone())
    except BaseException as error:  # noqa: BLE001
        from dsvc.commands.entry import report_failure

        return report_failure(error)
    return 0
