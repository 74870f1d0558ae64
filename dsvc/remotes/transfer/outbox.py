"""Packs that were made for a push and are not published yet: kept on disk until they are.

A push that was broken off left them here. The next one sends the same bytes, so that a place that keeps the parts of
an upload goes on where it was, and does not send again what has arrived. A pack that did arrive and is gone was
collected there; it is not sent again under its id (see dsvc.objects.packindex.resalted).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple

from dsvc.atomic import sync_directory, temporary_name
from dsvc.objects.ids import PackId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.storage.cloning import clone_file

_JOURNAL = "journal"


class Waiting(NamedTuple):
    """A pack of an earlier push, and whether it had arrived when that was broken off."""

    ref: PackRef
    arrived: bool


class Outbox:
    """A folder with finished packs, and a journal with a line an event; `place` is the remote that they are meant for.

    Threads may note at the same time.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder
        self._place = place
        self._lock = threading.Lock()

    def staging(self) -> Path:
        """Return a folder for packs under construction."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def keep(self, ref: PackRef, finished: Path) -> None:
        """Take in a finished pack, durably, before the first byte of it is sent."""
        with open(finished, "rb") as file:
            os.fsync(file.fileno())
        os.replace(finished, self._path(ref))
        sync_directory(self._folder)
        fields = {"id": ref.id.hex(), "class": int(ref.pack_class), "size": ref.size, "index": ref.index_offset}
        self._note({"kept": {**fields, "objects": ref.objects}})

    def arrived(self, ref: PackRef) -> None:
        """Note that a pack is at its place; its bytes are not needed here any more."""
        self._note({"arrived": ref.id.hex()})
        with contextlib.suppress(FileNotFoundError):
            self._path(ref).unlink()

    def packs(self) -> list[Waiting]:
        """Return the packs that an earlier push to the same place left, arrived or not."""
        kept: dict[str, PackRef] = {}
        arrived: set[str] = set()
        with contextlib.suppress(FileNotFoundError):
            for line in (self._folder / _JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line of a process that was killed
                    event = json.loads(line)
                    if event["place"] != self._place:
                        continue
                    if "arrived" in event:
                        arrived.add(event["arrived"])
                    else:
                        kept[event["kept"]["id"]] = _decode(event["kept"])
        found = [Waiting(ref, name in arrived) for name, ref in kept.items()]
        return [waiting for waiting in found if waiting.arrived or self._is_whole(waiting.ref)]

    def lend(self, ref: PackRef) -> Path:
        """Return a file with a pack's bytes that whoever sends it may move away."""
        lent = self.staging() / temporary_name("lent")
        try:
            os.link(self._path(ref), lent)
        except OSError:
            shutil.copyfile(self._path(ref), lent)
        return lent

    def clear(self) -> None:
        """Forget all packs: they were published, or are of no use any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, ref: PackRef) -> Path:
        return self._folder / f"{ref.id.hex()}.pack"

    def _is_whole(self, ref: PackRef) -> bool:
        try:
            return self._path(ref).stat().st_size == ref.size
        except OSError:
            return False

    def _note(self, event: dict[str, Any]) -> None:
        line = json.dumps({"place": self._place, **event}) + "\n"
        with self._lock, open(self._folder / _JOURNAL, "a", encoding="utf-8") as journal:
            journal.write(line)
            journal.flush()
            os.fsync(journal.fileno())


def _decode(fields: dict[str, Any]) -> PackRef:
    pack_id = PackId(bytes.fromhex(fields["id"]))
    return PackRef(pack_id, PackClass(fields["class"]), fields["size"], fields["index"], fields["objects"])


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes, by a reflink where the disk can; the copy may be written to."""
    with open(source, "rb") as read, open(target, "xb") as write:
        try:
            clone_file(read.fileno(), write.fileno())
        except OSError:
            shutil.copyfileobj(read, write, 1 << 20)


def link_file(source: Path, target: Path) -> bool:
    """Give a file that nobody writes to a second name; False where the disk cannot."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
