"""Tell rename detection how alike files of a repository are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from dsvc.contents.similarity import Fingerprint, best_matches, fingerprint
from dsvc.history.renames import Similar, base_name
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.tree import Entry

_BUDGET = 48 << 20  # bytes of content that one search reads: what it holds of them is a few times as large

Read = Callable[[bytes, Entry], bytes]


def similar_files(
    read_old: Read, read_new: Read, *, complete: Callable[[Iterable[bytes]], None] | None = None
) -> Similar:
    """Return the callback of `dsvc.history.renames.detect` that reads files by path and entry and compares them.

    Of very many bytes only the first are read, so that memory stays bounded; the files left over are like none, and so
    are those whose content is not there any more. `complete` hears the ids of what will be read, before it is.
    """

    def similar(
        old: Mapping[bytes, Entry], new: Mapping[bytes, Entry], minimum: int
    ) -> Iterable[tuple[bytes, bytes, int]]:
        def prefer(source: bytes, target: bytes) -> int:
            return int(base_name(source) == base_name(target))

        if complete is not None:
            complete(entry.id for files in (old, new) for _, entry in _chosen(files))
        return best_matches(_read(old, read_old), _read(new, read_new), minimum=minimum, prefer=prefer)

    return similar


def _read(files: Mapping[bytes, Entry], read: Read) -> dict[bytes, Fingerprint]:
    found: dict[bytes, Fingerprint] = {}
    for path, entry in _chosen(files):
        with suppress(ObjectMissingError):
            found[path] = fingerprint(read(path, entry))
    return found


def _chosen(files: Mapping[bytes, Entry]) -> Iterator[tuple[bytes, Entry]]:
    """Yield what is read of these files: none that is larger than what is left of the budget."""
    left = _BUDGET // 2
    for path, entry in files.items():
        if entry.size <= left:
            left -= entry.size
            yield path, entry
