"""Notes which files this interpreter opens, by an audit hook, in a file of its own in the folder of the run.

It must be cheap: a program that opens ten thousand small files may lose no more than 15 % of its time, which is less
than a microsecond a file. So a path is noted as it was given, by a copy into mapped memory, which also outlives a
process that is killed. There is no stat here, and no look at the clock for each file: whether a file was changed is
found out afterwards, and the time is noted now and then and whenever other programs may have done something.

A note ends with a NUL; more of them are padding. One that begins with a byte of at least `/` is the path of a file that
was opened for reading, seen from the current folder. The others are a byte and a text: 1 the time in nanoseconds since
1970, between the notes around it; 2 a path that was written, 3 opened for both, 4 removed, 5 opened for reading;
6 the process, its parent and, with slashes before them, the names under which its program may have been started (none
in a process that was forked), 7 another program that was started, 8 the current folder, 9 a library whose native code
is watched (`dsvc_natives`), 10 one whose is not, 11 a path elsewhere that was read, 12 one that was written. It runs in
whatever Python the user has, so it keeps to what Python 3.8 knows.
"""

from __future__ import annotations

import os
import sys
from time import time_ns

try:
    from mmap import mmap
except ImportError:  # as in python3-minimal of Debian, which small images have
    mmap = None  # type: ignore[assignment, misc]

MYPY = False
if MYPY:  # the module typing would cost each interpreter five milliseconds
    from collections.abc import Callable, Sequence
    from typing import Any

_STAMPED = 5_000_000  # nanoseconds between two times beside notes of writing
_WINDOW = 1 << 14  # bytes that are mapped; when it is full the time is noted
_FIRST, _LARGEST = _WINDOW, 1 << 20  # bytes of a file of notes
_REPEATS = 4 << 20  # bytes of notes from which on each note is written once
_REMEMBERED = 500_000
_ELSEWHERE = 1000  # paths outside of the roots that are noted, and only as far as they may be data
_SYSTEM = ("/bin/", "/dev/", "/etc/", "/lib", "/proc/", "/run/", "/sbin/", "/sys/", "/usr/", "/var/")
_CODE = (".py", ".pyc", ".pyd", ".pth", ".so", ".zip", ".egg")
# Libraries that read files in native code; what is known of them stands in dsvc_natives.
_NATIVE = frozenset((
    "SimpleITK", "av", "cv2", "decord", "duckdb", "fiona", "h5py", "lance", "netCDF4", "onnxruntime", "osgeo", "polars",
    "pyarrow", "pyarrow.csv", "pyarrow.dataset", "pyarrow.feather", "pyarrow.json", "pyarrow.orc",
    "pyarrow.parquet.core", "pyreadstat", "rasterio", "safetensors", "soundfile", "tables", "tensorflow", "torch",
    "torchaudio", "torchvision", "xgboost",
))  # fmt: skip
switches: list[Callable[[str | None], None]] = []  # of what observes in this interpreter: one or none


def _unmapped(file: str, begin: int) -> Callable[[bytes], Any]:
    """Return what takes notes in a window of a file that cannot be mapped, slower; it keeps no descriptor either."""
    at = begin

    def write(note: bytes) -> None:
        nonlocal at
        if at + len(note) > begin + _WINDOW:
            raise ValueError
        place, at = at, at + len(note)  # before another thread can run
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, note, place)
        finally:
            os.close(fd)

    return write


def observe(folder: str, roots: Sequence[str]) -> None:
    """Begin to note what is opened below one of the `roots`, absolute paths, in files in `folder`.

    A hook cannot be taken away again; what is then in `switches` lets the notes go on in another folder, or nowhere.
    """
    given = [root for root in roots if root.startswith("/")]
    wanted = tuple([root if root.endswith("/") else root + "/" for root in given] + given)
    ours = os.path.dirname(__file__)
    prefixes = {os.path.realpath(p) + "/" for p in (sys.prefix, sys.base_prefix, sys.exec_prefix, ours)}
    hidden = {root + name for root in wanted for name in (".dsvc/", ".git/") if root.endswith("/")}
    unwanted = tuple(hidden | {p for p in prefixes if p.startswith(wanted) and p not in wanted})
    plain_prefixes = {os.path.abspath(p) + "/" for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    system = (*_SYSTEM, *prefixes, *plain_prefixes, os.path.expanduser("~/."))
    strange: set[Any] = set()
    written: set[Any] = set()
    noted: set[bytes] = set()
    place: str | None = folder
    words = getattr(sys, "orig_argv", None) or [sys.executable]
    names = [os.path.basename(word) for word in words[:1] + [word for word in words[1:] if word[:1] != "-"][:1]]
    started_as = os.fsencode("".join(["/" + name[:200] for name in names if name]))
    file, size, at, taken, number = "", 0, 0, 0, 0
    moved = True  # the current folder is to be noted
    due = 0  # when the time is to be noted again

    def nowhere(_note: bytes) -> None:
        """Take a note while there is no window for it."""
        raise ValueError

    def later(_note: bytes) -> None:
        """Take the first note after something that may have taken long."""
        raise ValueError

    write: Callable[[bytes], Any] = nowhere
    plain: Callable[[bytes], Any] = nowhere

    def once(note: bytes) -> None:
        """Take a note that was not taken yet, in a process that opens very many files."""
        if note not in noted:
            if len(noted) > _REMEMBERED:
                noted.clear()
            noted.add(note)
            plain(note)

    def fresh() -> None:
        """Begin a new file for notes; the old one stays as it is."""
        nonlocal file, size, at, number, moved
        assert place is not None
        size = min(max(size * 4, _FIRST), _LARGEST)
        file = os.path.join(place, f"opens-{os.getpid()}-{number}-{os.urandom(4).hex()}")
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # a full disk is an error here, and not a fault later
        finally:
            os.close(fd)
        number += 1
        at, moved = 0, True

    def roll() -> None:
        """Map the next window, in a new file where this one is full, and note the time."""
        nonlocal write, plain, at, taken, due
        begins = at >= size
        if begins:
            fresh()
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)  # no descriptor is kept: programs close what they do not know
        try:
            plain = _unmapped(file, at) if mmap is None else mmap(fd, _WINDOW, offset=at).write
        finally:
            os.close(fd)
        at += _WINDOW
        taken += _WINDOW
        write = plain if taken < _REPEATS else once
        if begins:
            plain(b"\6%d %d%s\0" % (os.getpid(), os.getppid(), started_as))
        stamp(time_ns())

    def put(note: bytes) -> None:
        """Take a note, in a new window where this one is full."""
        if place is None or len(note) > _WINDOW // 2:
            return
        try:
            plain(note)
        except ValueError:
            roll()
            plain(note)

    def stamp(now: int) -> None:
        """Note the time, and the current folder where that is another one."""
        nonlocal write, due, moved
        due = now + _STAMPED
        if write is later:
            write = plain if taken < _REPEATS else once
        if moved:
            moved = False
            put(b"\x08" + os.getcwdb() + b"\0")
        put(b"\1%d\0" % now)

    def note(kind: bytes, path: Any) -> None:
        """Note a path of any form."""
        if isinstance(path, int) or place is None:
            return
        name = os.fsencode(path)
        text = os.fsdecode(name)
        if text[:1] != "/" or (text.startswith(wanted) and not text.startswith(unwanted)):
            now = time_ns()
            if now > due or write is later:
                stamp(now)
            put(kind + name + b"\0")
        elif kind != b"\4" and not text.startswith(wanted):
            elsewhere(b"\x0b" if kind == b"\5" else b"\x0c", text)

    def elsewhere(kind: bytes, path: str) -> None:
        """Note a file outside of the roots that may be data, once."""
        seen = (kind, path)
        if seen in strange or len(strange) > _ELSEWHERE or path.startswith(system) or path.endswith(_CODE):
            return
        strange.add(seen)
        put(kind + os.fsencode(path) + b"\0")

    def wait() -> None:
        """Let the time be noted before the next note: another program may do something now."""
        nonlocal write, due
        due = 0
        if write is not nowhere:
            write = later

    def started(program: Any) -> None:
        """Note another program."""
        if program and not isinstance(program, int) and place is not None:
            put(b"\7" + os.path.basename(os.fsencode(program))[:200] + b"\0")
            wait()

    def other(event: str, args: Any) -> None:
        """Note what happens to files beside opening them."""
        nonlocal moved
        if event == "os.chdir":
            moved = True
            written.clear()
            noted.clear()
            wait()
        elif event in ("os.rename", "os.link", "os.symlink"):
            if event == "os.rename":
                note(b"\4", args[0])
                written.discard(args[0])
            note(b"\2", args[1])
        elif event == "os.remove":
            note(b"\4", args[0])
            written.discard(args[0])
        elif event == "os.truncate":
            note(b"\2", args[0])
        elif event == "sqlite3.connect":
            if args[0] != ":memory:":
                note(b"\3", args[0])
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
        path: Any = None
        try:
            if event == "open":
                path, _, flags = args
                if flags & 3:
                    if path not in written:
                        written.add(path)
                        note(b"\3" if flags & 2 else b"\2", path)
                # The common case by the shortest way; what is odd raises, and goes by the longer one.
                elif path >= "0":  # it begins with a byte behind that of the slash
                    write((path + "\0").encode())
                elif path[0] != "/":
                    note(b"\5", path)
                elif not path.startswith(wanted):
                    if place is not None:
                        elsewhere(b"\x0b", path)
                elif not path.startswith(unwanted):
                    write((path + "\0").encode())
            elif event in others:
                other(event, args)
        except Exception:  # noqa: BLE001 - the program of the user must not notice
            if path is not None and place is not None:
                again(path)

    def again(path: Any) -> None:
        """Note a path that was too odd for the short way, or for which there was no place."""
        try:
            note(b"\5", path)
        except Exception:  # noqa: BLE001, S110 - see above
            pass

    def forked() -> None:
        nonlocal started_as
        started_as = b""
        strange.clear()
        anew()

    def anew() -> None:
        nonlocal write, plain, size, at, taken
        write = plain = nowhere
        size = at = taken = 0
        noted.clear()

    def switch(folder: str | None) -> None:
        nonlocal place
        place = folder
        anew()
        written.clear()
        strange.clear()
        if folder is not None:
            roll()
            for name, watched in libraries:
                put((b"\x09" if watched else b"\x0a") + name.encode() + b"\0")

    def library(name: str, watched: bool) -> None:  # noqa: FBT001 - the form that is asked for
        """Note a library that reads files in native code, again in each folder of notes."""
        libraries.append((name, watched))
        if place is not None:
            put((b"\x09" if watched else b"\x0a") + name.encode() + b"\0")

    libraries: list[tuple[str, bool]] = []
    roll()
    os.register_at_fork(after_in_child=forked)
    sys.addaudithook(hook)
    switches.append(switch)
    sys.meta_path.insert(0, Waiting(note, library))


class Waiting:
    """A finder that finds nothing, until a library is imported that reads files in native code."""

    def __init__(self, note: Callable[[bytes, Any], None], library: Callable[[str, bool], None]) -> None:
        self._told = note, library
        self._natives: Any = None
        for name in _NATIVE:
            if name in sys.modules:
                self._ready().take(name, sys.modules[name])

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return what the other finders say of such a library."""
        return self._ready().find_spec(name, path, target) if name in _NATIVE else None

    def _ready(self) -> Any:
        if self._natives is None:
            from importlib.util import module_from_spec, spec_from_file_location

            file = os.path.join(os.path.dirname(__file__), "dsvc_natives.py")
            spec = spec_from_file_location("dsvc_natives", file)
            assert spec is not None
            assert spec.loader is not None
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            self._natives = module.Natives(*self._told, self)
        return self._natives
