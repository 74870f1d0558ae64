"""Notes which files this interpreter opens, by an audit hook, in a file of its own in the folder of the run.

It must be cheap: a program that opens ten thousand small files may lose no more than 15 % of its time. So a path is
noted once, by a copy into mapped memory, which also outlives a process that is killed. There is no stat here: whether
a file was changed is found out afterwards, from the times below.

A note is a letter, text and a NUL: `p` the process, `t` the time in nanoseconds since 1970 for the notes that
follow (not older than 5 ms then), `r` read, `w` written, `b` opened for both, `d` removed, `x` another program was
started. It runs in whatever Python the user has, so it keeps to what Python 3.8 knows.
"""

from __future__ import annotations

import os
import sys
from mmap import mmap
from time import time_ns

MYPY = False
if MYPY:  # the module typing would cost each interpreter five milliseconds
    from collections.abc import Callable, Sequence
    from typing import Any

_STAMPED = 5_000_000  # nanoseconds
_FIRST, _LARGEST = 1 << 14, 1 << 20  # bytes of a file of notes
switches: list[Callable[[str | None], None]] = []  # of what observes in this interpreter: one or none


def observe(folder: str, roots: Sequence[str]) -> None:
    """Begin to note what is opened below one of the `roots`, absolute paths, in files in `folder`.

    A hook cannot be taken away again; what is then in `switches` lets the notes go on in another folder, or nowhere.
    """
    wanted = tuple(root if root.endswith("/") else root + "/" for root in roots if root.startswith("/"))
    files = frozenset(root for root in roots if root.startswith("/"))
    prefixes = {os.path.realpath(p) + "/" for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    hidden = {root + name for root in wanted for name in (".dsvc/", ".git/")}
    unwanted = tuple(hidden | {p for p in prefixes if p.startswith(wanted) and p not in wanted})
    seen: set[Any] = set()
    written: set[Any] = set()
    state: dict[str, Any] = {"notes": None, "size": _FIRST, "number": 0, "stamp": 0, "cwd": None, "folder": folder}

    def fresh() -> None:
        """Map a new file for notes; the old one stays as it is."""
        name = f"opens-{os.getpid()}-{state['number']}-{os.urandom(4).hex()}"
        fd = os.open(os.path.join(state["folder"], name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, state["size"])  # a full disk is an error here, and not a fault later
            state["notes"] = mmap(fd, state["size"])
        finally:
            os.close(fd)
        state["number"] += 1
        state["size"] = min(state["size"] * 4, _LARGEST)
        state["stamp"] = 0
        state["notes"].write(b"p%d\0" % os.getpid())

    def put(note: bytes) -> None:
        notes = state["notes"]
        try:
            notes.write(note)
        except (ValueError, AttributeError):  # it is full, or there is none
            if len(note) < _FIRST // 2 and state["folder"] is not None:
                fresh()
                state["notes"].write(note)

    def note(letter: bytes, path: Any) -> None:
        if type(path) is not str:
            if isinstance(path, int):
                return
            path = os.fsdecode(path)
        if path[:1] != "/":
            if state["cwd"] is None:
                state["cwd"] = os.getcwd().rstrip("/") + "/"
            path = state["cwd"] + path
        if (path.startswith(wanted) or path in files) and not path.startswith(unwanted):
            now = time_ns()
            if not 0 <= now - state["stamp"] < _STAMPED:
                put(b"t%d\0" % now)
                state["stamp"] = now
            put(letter + path.encode("utf-8", "surrogateescape") + b"\0")

    def started(program: Any) -> None:
        if program and not isinstance(program, int):
            put(b"x" + os.fsencode(os.path.basename(program))[:200] + b"\0")

    def other(event: str, args: Any) -> None:
        if event == "os.chdir":
            state["cwd"] = None
            seen.clear()
            written.clear()
        elif event in ("os.rename", "os.link", "os.symlink"):
            if event == "os.rename":
                note(b"d", args[0])
                seen.discard(args[0])
                written.discard(args[0])
            note(b"w", args[1])
        elif event == "os.remove":
            note(b"d", args[0])
            written.discard(args[0])
        elif event == "os.truncate":
            note(b"w", args[0])
        elif event == "sqlite3.connect":
            if args[0] != ":memory:":
                note(b"b", args[0])
        elif event == "subprocess.Popen":
            words = args[1]
            started(args[0] or (words if isinstance(words, (str, bytes)) else words[0]))
        elif event == "os.system":
            started("sh")
        else:
            started(args[0])

    others = frozenset(
        (
            "os.chdir",
            "os.rename",
            "os.link",
            "os.symlink",
            "os.remove",
            "os.truncate",
            "sqlite3.connect",
            "subprocess.Popen",
            "os.system",
            "os.posix_spawn",
            "os.exec",
        )
    )

    def hook(event: str, args: Any) -> None:
        try:
            if event == "open":
                path, _, flags = args
                if flags & 3:
                    if path not in written:
                        written.add(path)
                        note(b"b" if flags & 2 else b"w", path)
                elif path not in seen:
                    seen.add(path)
                    note(b"r", path)
            elif event in others:
                other(event, args)
        except Exception:  # noqa: BLE001, S110 - the program of the user must not notice
            pass

    def forked() -> None:
        state["notes"] = None
        state["size"] = _FIRST

    def switch(other: str | None) -> None:
        state["folder"] = other
        forked()
        seen.clear()
        written.clear()
        if other is not None:
            fresh()

    fresh()
    os.register_at_fork(after_in_child=forked)
    sys.addaudithook(hook)
    switches.append(switch)
