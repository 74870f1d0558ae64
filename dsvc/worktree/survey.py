"""Share a scan between two processes: where stat calls are most of the work, threads do not help and a fork does."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WORTH_FORKING = 20_000  # stat calls; below, a fork costs more than it saves


def together(here: Callable[[], T], there: Callable[[], T]) -> tuple[T, T]:
    """Return the results of both calls, the second one made in a child process at the same time.

    `there` must only compute: what it changes is lost. Its result travels as a pickle from our own child. Where it
    cannot be had, for whatever reason, the call is made here, so that its exceptions are raised here too.
    """
    read, write = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        return here(), there()
    if child == 0:
        _answer(read, write, there)
    os.close(write)
    import pickle

    failed = True
    try:
        first = here()
        failed = False
    finally:
        with open(read, "rb", buffering=1 << 20) as pipe:
            payload = b"" if failed else pipe.read()
        try:
            _, status = os.waitpid(child, 0)
        except ChildProcessError:
            status = 1  # whoever started us lets the system take children away: whether it went well is lost
    if status != 0 or not payload:
        return first, there()
    second: T = pickle.loads(payload)  # noqa: S301 - written by our own child
    return first, second


def _answer(read: int, write: int, there: Callable[[], T]) -> None:
    """Compute in the child, write the answer, and end without running anything of the parent's."""
    code = 1
    try:
        import pickle

        os.close(read)
        payload = pickle.dumps(there(), protocol=5)
        with open(write, "wb", buffering=0) as pipe:
            view = memoryview(payload)
            while view:
                view = view[pipe.write(view) or 0 :]
        code = 0
    finally:
        os._exit(code)
