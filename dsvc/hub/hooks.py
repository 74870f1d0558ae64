"""Programs of the hub that hear of a push before and after it: `hooks/pre-receive` and `hooks/post-receive`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsvc.remotes.wire.publish import MOST_OUTPUT, RefChange

_NONE = "0" * 64


class HookFailedError(Exception):
    """A hook that did not end with code 0: why, and what it printed."""

    def __init__(self, reason: str, output: str) -> None:
        super().__init__(reason)
        self.reason, self.output = reason, output


def run_hook(
    program: Path, changes: Sequence[RefChange], *, folder: Path, environment: Mapping[str, str], seconds: float
) -> str:
    """Run a hook if it is there, with a line `OLD NEW REF` a ref; return what it printed.

    One that is not executable is a failure: whoever put it there believes that it guards something.
    Of what it prints the first 64 KiB are kept; the rest is read and dropped. When its time is over it is killed with
    all processes of its group.

    Raises:
        HookFailedError: when it ends with another code than 0, cannot be run, or takes too long.
    """
    if not program.exists():
        return ""
    lines = "".join(f"{_id(c.old)} {_id(c.new)} {c.name}\n" for c in changes)
    try:
        process = subprocess.Popen(
            [os.fspath(program)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        reason = "it is not executable" if isinstance(error, PermissionError) else error.strerror
        raise HookFailedError(f"the hook {program.name} cannot be run: {reason}", "") from error
    kept = bytearray()

    def feed() -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # a hook need not read
            process.stdin.write(lines.encode())
        with contextlib.suppress(OSError):
            process.stdin.close()

    def listen() -> None:
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while said := os.read(process.stdout.fileno(), 1 << 16):
                kept.extend(said[: max(0, MOST_OUTPUT - len(kept))])

    threads = [threading.Thread(target=work, daemon=True) for work in (feed, listen)]
    for thread in threads:
        thread.start()
    late = False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        late = True
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # also what it left running with its output
    process.wait()
    for thread in threads:
        thread.join(1.0)
    output = bytes(kept).decode("utf-8", "replace")
    if late:
        raise HookFailedError(f"the hook {program.name} took longer than {seconds:g} seconds and was ended", output)
    if process.returncode < 0:
        raise HookFailedError(f"the hook {program.name} was killed by signal {-process.returncode}", output)
    if process.returncode:
        raise HookFailedError(f"the hook {program.name} refuses it with code {process.returncode}", output)
    return output


def _id(ref: object) -> str:
    target = getattr(ref, "id", None)
    return _NONE if target is None else bytes(target).hex()
