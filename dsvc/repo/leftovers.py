"""Remove what dead processes left behind: packs on no list, lists that no head names, temporary files.

Nothing here depends on a clock to be safe. A writer whose unlisted pack is removed finds out before it moves the head
(see OwnPacks.check); the time that is waited only spares it from doing its work twice.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.ids import ID_LENGTH, PackId
from dsvc.objects.packlist import PackList, pack_list_key, previous_of
from dsvc.objects.segment import SegmentRef
from dsvc.objects.store import ObjectStore
from dsvc.refs.log import Head, list_of, read_head, swap_head
from dsvc.repo.gcrecord import GcRecord, change_record, read_record
from dsvc.repo.maintenance import exchange
from dsvc.storage.backend import Backend, BlobMissingError, SwapUncertainError

DAY = 24 * 3600 * 1_000_000  # microseconds
HOUR = DAY // 24


class Leftovers(NamedTuple):
    """What was removed, or would be: numbers of blobs and files, and their bytes."""

    packs: int = 0
    lists: int = 0
    files: int = 0
    size: int = 0


def remove_unlisted_packs(
    store: ObjectStore, *, now: int, at_once: bool, dry_run: bool
) -> tuple[Head | None, Leftovers]:
    """Remove packs that no list names and that an earlier gc saw at least a day ago, or all of them `at_once`.

    Returns the newest head, when it was moved, and what was removed.
    """
    backend = store.backend
    sizes = dict(listed_blobs(backend))  # before the head is read, so that a pack listed meanwhile is in its list
    head = read_head(backend, store.segments)
    if head is None:
        return None, Leftovers()
    known = {ref.id for ref in head.packs.packs} | set(head.packs.condemned)
    unlisted = {pack_id for pack_id in sizes if pack_id not in known}
    record = read_record(backend)
    old = {i for i in unlisted if at_once or now - record.seen.get(i, now) >= DAY}
    found = Leftovers(packs=len(old), size=sum(sizes[i] for i in old))
    if dry_run:
        return None, found

    def note(before: GcRecord) -> GcRecord:
        return replace(before, seen={i: before.seen.get(i, now) for i in unlisted - old})

    moved = None
    if old:
        moved = exchange(store, head, lambda packs: packs.condemning(old), old=(), new=())
    change_record(backend, note)
    return moved, found


def listed_blobs(backend: Backend) -> Iterable[tuple[PackId, int]]:
    """Yield the id and size of every pack that lies at a place."""
    for key, size in backend.list("packs/"):
        with contextlib.suppress(ValueError):
            pack_id = bytes.fromhex(key.removeprefix("packs/"))
            if len(pack_id) == ID_LENGTH:
                yield PackId(pack_id), size


def remove_dead_lists(backend: Backend, *, dry_run: bool) -> Leftovers:
    """Remove pack lists that no head names nor will name.

    A list names the one before it, and none comes back. One that does not follow the list in force, read after the
    lists were looked up, can therefore not become the next one.
    """
    lists = dict(backend.list("lists/"))
    head = read_head(backend)
    if head is None:
        return Leftovers()
    current = list_of(head)
    kept = {pack_list_key(i) for i in (current, head.packs.previous) if i is not None}
    count = total = 0
    for key, size in lists.items():
        if key in kept:
            continue
        try:
            if previous_of(backend.get(key)) == current:
                continue  # of a writer that is about to move the head
        except BlobMissingError:
            continue
        except IntegrityError:
            pass
        count, total = count + 1, total + size
        if not dry_run:
            backend.delete(key)
    return Leftovers(lists=count, size=total)


def remove_dead_segments(store: ObjectStore, head: Head, *, dry_run: bool) -> tuple[Head, Leftovers]:
    """Remove index segments that no list names; return the newest head.

    The head is moved in between. Whoever wrote a segment before that and has not named it yet fails to name it now,
    and does not try again; so what is still not named then never will be.
    """
    backend = store.backend
    found = dict(backend.list("segments/"))
    dead = found.keys() - {ref.key for ref in _segments_of(head.packs)}
    if dead and not dry_run:
        try:
            moved = swap_head(backend, head, head.operation, head.packs)
        except SwapUncertainError:
            moved = None
        if moved is None:
            return read_head(backend, store.segments) or head, Leftovers()
        head = moved
        dead -= {ref.key for ref in _segments_of(head.packs)}
        for key in dead:
            backend.delete(key)
    return head, Leftovers(lists=len(dead), size=sum(found[key] for key in dead))


def _segments_of(packs: PackList) -> Iterable[SegmentRef]:
    return (*(segment.ref for segment in packs.segments), *packs.retired)


def remove_stale_files(folders: Iterable[Path], *, now: int, at_once: bool, dry_run: bool) -> Leftovers:
    """Remove temporary files (see dsvc.atomic.temporary_name) of processes that are gone.

    A file whose process does not live on this host goes after an hour, since another host or container may have made
    it, any other one after a day; `at_once` waits for neither where the process is gone.
    """
    count = total = 0
    for folder in folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    pid = _process_of(entry.name)
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if pid is None or not (is_folder or entry.is_file(follow_symlinks=False)):
                        continue
                    status = entry.stat(follow_symlinks=False)
                    age = now - status.st_mtime_ns // 1000
                    if age >= DAY or (not _lives(pid) and (at_once or age >= HOUR)):
                        count, total = count + 1, total + status.st_size
                        if is_folder and not dry_run:  # a pack of whole files that was not finished
                            shutil.rmtree(entry.path, ignore_errors=True)
                        elif not dry_run:
                            os.unlink(entry.path)
    return Leftovers(files=count, size=total)


def _process_of(name: str) -> int | None:
    parts = name.split(".")
    return int(parts[-3]) if len(parts) >= 4 and parts[-1] == "tmp" and parts[-3].isdecimal() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def temporary_folders(backend: Backend) -> list[Path]:
    """Return the folders in which a backend leaves temporary files; none for one that is no folder."""
    root = getattr(backend, "root", None)
    if not isinstance(root, Path):
        return []
    cells = root / "cells"
    return [root / "tmp", *(p for p in (cells.iterdir() if cells.is_dir() else ()) if p.is_dir())]
