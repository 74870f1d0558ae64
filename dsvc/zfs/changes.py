"""What differs between snapshots: by `written@`, by the stream between the two, and by `zfs diff`.

What that prints: https://openzfs.github.io/openzfs-docs/man/8/zfs-diff.8.html.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final, Literal

from dsvc.errors import BusyError, DsvcError, IntegrityError, RequestError
from dsvc.storage.snapshots import FileChange
from dsvc.zfs.errors import KeyMissingError
from dsvc.zfs.mounts import mounted
from dsvc.zfs.program import Program
from dsvc.zfs.stream import Content, content_of, objects_written

_LETTERS: Final[dict[str, Literal["A", "D", "M", "R"]]] = {"+": "A", "-": "D", "M": "M", "R": "R"}


def written_bytes(zfs: Program, dataset: str, since: str) -> int | None:
    """Return how many bytes ZFS has written to a dataset since a snapshot of it or of what it was cloned from.

    They may be no change, such as times of reading; 0 is certain, because what still waits is written first. None where
    that cannot be done.

    Raises:
        ZfsFailedError: when this ZFS does not count it.
    """
    of, _, label = since.partition("@")
    words = ("get", "-Hp", "-o", "value", f"written@{label if of == dataset else since}", dataset)
    count = _number(zfs.call(*words))
    if count == 0:
        try:
            zfs.call("sync", dataset.partition("/")[0], name="zpool")
        except DsvcError:
            return None
        count = _number(zfs.call(*words))
    return count


def _number(said: str) -> int | None:
    return int(said) if said.strip().isdecimal() else None


def differs(zfs: Program, old: str, new: str) -> bool:
    """Say whether anything changed between two snapshots: by the stream between them, up to the first change in it.

    Where that begins with objects, `zfs diff` tells whether one is a file that changed: it compares the times of
    change. If it finds none, the stream has to be without content to its end.
    """
    try:
        found, options = _content(zfs, old, new), tuple[str, ...]()
    except KeyMissingError:
        found, options = _content(zfs, old, new, "-w"), ("-w",)
    if found != Content.OBJECTS or _names_any(zfs, old, new):
        return found != Content.NOTHING
    return _content(zfs, old, new, *options, whole=True) == Content.CONTENT


def _names_any(zfs: Program, old: str, new: str) -> bool:
    """Say whether `zfs diff` names anything, or cannot tell, as for a dataset that is mounted nowhere."""
    with suppress(RequestError, BusyError), zfs.reading("diff", "-FHt", old, new) as read:
        return bool(read(1))
    return True


def _content(zfs: Program, old: str, new: str, *options: str, whole: bool = False) -> Content:
    with zfs.reading("send", *options, "-i", old, new, whole=False) as read:
        return content_of(read, whole=whole)


def rewritten(zfs: Program, old: str, new: str) -> dict[int, int] | None:
    """Return in which files anything was written between two snapshots: by the whole stream between them.

    See SnapshotProvider. None where ZFS has no such stream, as when one does not follow the other.
    """
    try:
        with zfs.reading("send", "-i", old, new) as read:
            return objects_written(read)
    except (RequestError, BusyError, IntegrityError):
        return None


def file_changes(zfs: Program, old: str, new: str) -> list[FileChange] | None:
    """Return the files that differ, by their paths in the dataset, and the directories that were renamed.

    None where `zfs diff` cannot tell: it is not there, or not allowed, or the dataset of `new` is mounted nowhere.
    """
    try:
        said = zfs.call("diff", "-FHt", old, new)
    except (RequestError, BusyError):
        return None
    root = next((folder for folder, name in mounted().items() if name == new.partition("@")[0]), None)
    prefix = os.fsencode(root) + b"/" if root is not None else b"/"
    return [change for line in said.split("\n") if (change := _change(line, prefix)) is not None]


def _change(line: str, prefix: bytes) -> FileChange | None:
    """Return what a line of `zfs diff -FHt` says: time, letter, kind of file, path, new path of a renamed one."""
    fields = line.split("\t")
    if len(fields) < 4:
        return None
    paths = [_unescaped(path).removeprefix(prefix) for path in fields[3:5]]
    letter = _LETTERS.get(fields[1])
    if letter is None or (fields[2] == "/" and letter != "R"):
        return None  # a directory in which names changed, or without a name of its own in a tree
    return FileChange(letter, paths[-1], paths[0] if letter == "R" else None)


def _unescaped(text: str) -> bytes:
    """Return a path as zfs diff writes it, with bytes that it does not print as a backslash and four octal digits."""
    raw, found, at = text.encode("utf-8", "surrogateescape"), bytearray(), 0
    while at < len(raw):
        if raw[at : at + 1] == b"\\" and raw[at + 1 : at + 5].isdigit():
            found.append(int(raw[at + 1 : at + 5], 8) & 255)
            at += 5
        else:
            found.append(raw[at])
            at += 1
    return bytes(found)
