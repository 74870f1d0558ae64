"""Packs that were made for a push and have not arrived yet: kept on disk until they are published.

A push that was broken off left them here. The next one sends the same bytes, so that a place that keeps the parts of
an upload goes on where it was, and does not send again what has arrived.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from dsvc.atomic import sync_directory, temporary_name
from dsvc.objects.ids import PackId
from dsvc.objects.packlist import PackClass, PackRef

_JOURNAL = "journal"


class Outbox:
    """A folder with finished packs, and a journal with a line each; `place` is the remote that they are meant for."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder
        self._place = place

    def staging(self) -> Path:
        """Return a folder for packs under construction."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def path(self, ref: PackRef) -> Path:
        """Return where a pack lies."""
        return self._folder / f"{ref.id.hex()}.pack"

    def keep(self, ref: PackRef, finished: Path) -> None:
        """Take in a finished pack, durably, before the first byte of it is sent."""
        with open(finished, "rb") as file:
            os.fsync(file.fileno())
        os.replace(finished, self.path(ref))
        line = {"place": self._place, "id": ref.id.hex(), "class": int(ref.pack_class), "size": ref.size}
        with open(self._folder / _JOURNAL, "a", encoding="utf-8") as journal:
            journal.write(json.dumps({**line, "index": ref.index_offset, "objects": ref.objects}) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        sync_directory(self._folder)

    def packs(self) -> list[PackRef]:
        """Return the packs that an earlier push to the same place left, arrived or not."""
        found: list[PackRef] = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self._folder / _JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines():
                ref = self._decode(line)
                if ref is not None and self.path(ref).is_file() and self.path(ref).stat().st_size == ref.size:
                    found.append(ref)
        return found

    def lend(self, ref: PackRef) -> Path:
        """Return a file with a pack's bytes that whoever sends it may move away."""
        return lend(self.path(ref), self.staging())

    def clear(self) -> None:
        """Forget all packs: they were published, or are of no use any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _decode(self, line: str) -> PackRef | None:
        try:
            fields = json.loads(line)
            if fields["place"] != self._place:
                return None
            pack_id = PackId(bytes.fromhex(fields["id"]))
            return PackRef(pack_id, PackClass(fields["class"]), fields["size"], fields["index"], fields["objects"])
        except (ValueError, KeyError, TypeError):
            return None  # the last line of a process that was killed


def lend(path: Path, folder: Path, *, copy: bool = False) -> Path:
    """Return another name of a file in `folder`, which may be moved away; with `copy` it shares no bytes that rot."""
    lent = folder / temporary_name("lent")
    if not copy:
        try:
            os.link(path, lent)
            return lent
        except OSError:
            pass
    shutil.copyfile(path, lent)
    return lent
