"""The journal of a checkout: written before the first file changes, removed when the index is written.

It is also what keeps two processes from moving the same working copy at once: its name must not exist yet when it is
made. docs/formats/journal.md.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import sync_directory, temporary_name, write_file
from dsvc.errors import BusyError, IntegrityError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, TreeId
from dsvc.worktree.index import file_clock

_SLACK = 120  # seconds by which the clock of a disk elsewhere may be wrong


class CheckoutRunningError(BusyError):
    """Another process moves this working copy right now."""

    def __init__(self, pid: int, host: str) -> None:
        super().__init__(
            f"another dsvc process ({pid} on {host}) is writing this working copy",
            hint="wait until it is done, then run the same command again; when it cannot be running any more, because "
            "that machine or container is gone, remove .dsvc/worktree/journal and look at 'dsvc status'",
        )


class Journal(NamedTuple):
    """A checkout under way: from which tree to which, published under which token, by whom."""

    before: TreeId
    after: TreeId
    token: bytes
    pid: int
    host: str


def begin(path: Path, journal: Journal) -> None:
    """Write the journal durably.

    Raises:
        CheckoutRunningError: when there is one already.
    """
    try:
        _write(path, journal)
    except FileExistsError as error:
        other = read(path)
        if other is None:
            return begin(path, journal)
        raise CheckoutRunningError(other.pid, other.host) from error


def take_over(path: Path, dead: Journal) -> Journal | None:
    """Let this process be the one that recovers a dead one's checkout; None when another process was faster.

    Raises:
        CheckoutRunningError: when another process took it over.
    """
    own = dead._replace(pid=os.getpid(), host=socket.gethostname())
    if read(path) != dead:
        return None
    write_file(path, _encode(own))
    found = read(path)
    if found is not None and found != own:
        raise CheckoutRunningError(found.pid, found.host)
    return found


def _encode(journal: Journal) -> bytes:
    return codec.encode_plain([1, journal.before, journal.after, journal.token, journal.pid, journal.host])


def _write(path: Path, journal: Journal) -> None:
    """Let the file appear with its whole content, or not at all where there is one."""
    temporary = path.parent / temporary_name(path.name)
    write_file(temporary, _encode(journal))
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: it is empty for a moment there
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, _encode(journal))
            os.fsync(fd)
        finally:
            os.close(fd)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def read(path: Path) -> Journal | None:
    """Return the journal, or None where no checkout is under way.

    One that is broken was being written when its process died: nothing had been changed yet, and it is removed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = codec.decode_plain(content)
    except (BadEncodingError, IntegrityError):
        fields = ()
    match fields:
        case (1, bytes(before), bytes(after), bytes(token), int(pid), str(host)) if (
            len(before) == len(after) == ID_LENGTH
        ):
            return Journal(TreeId(before), TreeId(after), token, pid, host)  # type: ignore[arg-type]
    path.unlink(missing_ok=True)
    return None


def is_alive(path: Path, journal: Journal) -> bool:
    """Say whether the process that wrote the journal at `path` may still run; one on another host always may."""
    if journal.host != socket.gethostname():
        return True
    if journal.pid == os.getpid():
        return False
    try:
        os.kill(journal.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_another(path, journal.pid)


def _is_another(path: Path, pid: int) -> bool:
    """Say whether the process of this number has ended and waits for its parent, or began long after the journal.

    Numbers are given again, after a restart of the machine the same ones at once. Where /proc tells nothing: no.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        running = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        written = path.stat().st_mtime
        now = file_clock(path.parent) / 1e9
        age = running - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return False
    return fields[0] in "ZX" or now - age > written + _SLACK


def end(path: Path) -> None:
    """Remove the journal: the checkout is complete. That of another process stays."""
    found = read(path)
    if found is not None and (found.pid, found.host) == (os.getpid(), socket.gethostname()):
        path.unlink(missing_ok=True)
