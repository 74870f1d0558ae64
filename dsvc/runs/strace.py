"""Observe a run by strace: which files any of its processes opened, whatever language it is written in."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dsvc.errors import NotStartedError
from dsvc.runs.opens import Note, Opened, source_of

TRACE = "trace"
_CALLS = (
    "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,truncate,"
    "chdir,fchdir,clone,clone3,fork,vfork,execve"
)
_LINE = re.compile(rb"(\d+) +(\d+)\.(\d+) (.*)")
_CALL = re.compile(rb"(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)", re.DOTALL)
_RESULT = re.compile(rb"\)\s+= (-?\d+)(?:<(.*)>)?[^>]*$", re.DOTALL)
_TEXT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_FOLDER = re.compile(rb"\d+<(.*?)>|AT_FDCWD<(.*?)>")
_ESCAPED = re.compile(rb"\\([0-7]{1,3}|x[0-9a-f]{2}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}
_WAIT = 5.0  # seconds for the tracer to write its last lines


class NoStraceError(NotStartedError):
    """strace was asked for and is not there."""

    def __init__(self) -> None:
        super().__init__("strace is not installed", hint="install it, or take --trace auto")


def find_strace(environment: Mapping[str, str]) -> str:
    """Return the path of strace.

    Raises:
        NoStraceError: when there is none.
    """
    found = shutil.which("strace", path=environment.get("PATH"))
    if found is None:
        raise NoStraceError
    return found


def traced_words(strace: str, program: str, words: Sequence[str], output: Path) -> list[str]:
    """Return the command line that runs a command under strace.

    The tracer is a process apart (-D), so the command stays our child: signals and the way it ends are its own.
    Only signals that never end a process are left out: strace tells of an end by a signal where it shows that signal.
    """
    shown = ["-e", f"trace={_CALLS}", "-e", "signal=!chld,cont,urg,winch"]
    options = ["-D", "-f", "-q", "-y", "-ttt", "--seccomp-bpf", *shown]
    return [strace, *options, "-o", os.fspath(output), "--", program, *words[1:]]


def wait_for_trace(path: Path, pid: int) -> bool:
    """Wait until the tracer has written how the process `pid` ended; False when it does not, for whatever reason."""
    last = re.compile(rb"^%d +\S+ \+\+\+ " % pid, re.MULTILINE)
    until = time.monotonic() + _WAIT
    while time.monotonic() < until:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
                if last.search(b"\n" + file.read()):
                    return True
        except FileNotFoundError:
            pass
        time.sleep(0.01)
    return False


def read_trace(path: Path, *, directory: bytes, roots: Sequence[bytes]) -> Opened:
    """Return which files below the `roots` were opened; `directory` is where the command began."""
    found = Opened()
    wanted = tuple(root.rstrip(b"/") + b"/" for root in roots)
    hidden = tuple(root + name for root in wanted for name in (b".dsvc/", b".git/"))
    environments: dict[bytes, bool] = {}
    folders: dict[int, bytes] = {}
    processes: set[int] = set()
    notes: list[Note] = []

    def note(letter: bytes, when: int, name: bytes) -> None:
        name = source_of(name.removesuffix(b" (deleted)"))
        if not (name in roots or name.startswith(wanted)):
            found.take_elsewhere(letter[0], name)
        elif not name.startswith(hidden) and not _in_environment(name, wanted, environments):
            notes.append((when, when, letter[0], name))

    for pid, when, call, words, result, opened in _calls(path):
        processes.add(pid)
        here = folders.setdefault(pid, directory)
        if call in (b"clone", b"clone3", b"fork", b"vfork"):
            folders.setdefault(result, here)
        elif call == b"fchdir":
            folders[pid] = _first(_FOLDER.search(words)) or here
        elif call == b"chdir":
            folders[pid] = os.path.join(here, *_texts(words)[:1])
        elif call in (b"open", b"openat", b"openat2", b"creat"):
            if opened and b"O_DIRECTORY" not in words and b"O_PATH" not in words:
                letter = b"w" if call == b"creat" or b"O_WRONLY" in words else b"b" if b"O_RDWR" in words else b"r"
                note(letter, when, opened)
        elif call != b"execve":
            names = [os.path.join(folder, text) for folder, text in _placed(words, here)]
            if call.startswith((b"unlink", b"rename")) and names:
                note(b"d", when, names[0])
            if names and not call.startswith(b"unlink"):
                note(b"w", when, names[-1])
    found.take(notes)
    found.processes = len(processes)
    return found


def _calls(path: Path) -> Iterator[tuple[int, int, bytes, bytes, int, bytes]]:
    """Yield (pid, time in ns, call, its arguments, result, path that was opened) of the calls that succeeded."""
    begun: dict[bytes, bytes] = {}
    with open(path, "rb") as file:
        for line in file:
            head = _LINE.fullmatch(line.rstrip(b"\n"))
            call = _CALL.match(head[4]) if head is not None else None
            if head is None or call is None:
                continue
            name, rest = call[1], call[2]
            if rest.endswith(b"<unfinished ...>"):
                begun[head[1]] = rest.removesuffix(b"<unfinished ...>")
                continue
            if head[4].startswith(b"<..."):
                rest = begun.pop(head[1], b"") + rest
            result = _RESULT.search(rest)
            if result is None or int(result[1]) < 0:
                continue
            when = int(head[2]) * 1_000_000_000 + int(head[3].ljust(9, b"0")[:9])
            yield int(head[1]), when, name, rest[: result.start()], int(result[1]), _unescaped(result[2] or b"")


def _texts(words: bytes) -> list[bytes]:
    return [_unescaped(text) for text in _TEXT.findall(words)]


def _placed(words: bytes, here: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (folder, path) of the paths among the arguments of a call."""
    at = 0
    for text in _TEXT.finditer(words):
        yield _first(_FOLDER.search(words, at, text.start())) or here, _unescaped(text[1])
        at = text.end()


def _first(found: re.Match[bytes] | None) -> bytes:
    return _unescaped(found[1] or found[2] or b"") if found is not None else b""


def _unescaped(text: bytes) -> bytes:
    def plain(found: re.Match[bytes]) -> bytes:
        code = found[1]
        if code[:1].isdigit():
            return bytes([int(code, 8) & 0xFF])
        if code[:1] == b"x" and len(code) == 3:
            return bytes.fromhex(code[1:].decode())
        return _PLAIN.get(code, code)

    return _ESCAPED.sub(plain, text) if b"\\" in text else text


def _in_environment(name: bytes, wanted: Sequence[bytes], known: dict[bytes, bool]) -> bool:
    """Say whether a file lies in a virtual environment right below one of the roots."""
    for root in wanted:
        if name.startswith(root):
            folder = root + name[len(root) :].partition(b"/")[0]
            if folder not in known:
                known[folder] = os.path.exists(folder + b"/pyvenv.cfg")
            return known[folder]
    return False
