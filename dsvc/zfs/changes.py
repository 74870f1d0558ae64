"""Read what `zfs diff -FHt` prints: https://openzfs.github.io/openzfs-docs/man/8/zfs-diff.8.html."""

from __future__ import annotations

from dsvc.storage.snapshots import FileChange


def file_changes(said: str, prefix: bytes) -> list[FileChange]:
    """Return the files that differ, by paths from which `prefix` is cut, and the directories that were renamed."""
    return [change for line in said.split("\n") if (change := _change(line, prefix)) is not None]


def _change(line: str, prefix: bytes) -> FileChange | None:
    """Return what a line of `zfs diff -FHt` says: time, letter, kind of file, path, new path of a renamed one."""
    fields = line.split("\t")
    if len(fields) < 4:
        return None
    paths = [_unescaped(path).removeprefix(prefix) for path in fields[3:5]]
    letter = {"+": "A", "-": "D"}.get(fields[1], fields[1])
    if fields[2] == "/" and letter != "R":
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
