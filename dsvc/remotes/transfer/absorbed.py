"""Which packs of a remote hold nothing new in metadata: a list that may be deleted at any time."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from dsvc.atomic import write_file
from dsvc.objects.ids import ID_LENGTH


def read_absorbed(path: Path) -> set[bytes]:
    """Return the ids of the packs; nothing where the file is missing or cut off."""
    try:
        data = path.read_bytes()
    except OSError:
        return set()
    if len(data) % ID_LENGTH:
        return set()
    return {data[at : at + ID_LENGTH] for at in range(0, len(data), ID_LENGTH)}


def write_absorbed(path: Path, ids: Iterable[bytes], *, listed: Collection[bytes]) -> None:
    """Keep the ids of packs that the remote still lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, b"".join(sorted(i for i in ids if i in listed)), durable=False)
