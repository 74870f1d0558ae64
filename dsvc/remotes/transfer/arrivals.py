"""Packs that a fetch has stored and not published yet: a journal, so that one that is broken off is gone on with."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from dsvc.objects.ids import PackId
from dsvc.objects.packlist import PackClass, PackRef


class Arrivals:
    """A file with a line a pack, in the folder of what is under way."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "arrived"

    def note(self, ref: PackRef) -> None:
        """Note that a pack lies in the store."""
        fields = [ref.id.hex(), int(ref.pack_class), ref.size, ref.index_offset, ref.objects]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def packs(self) -> list[PackRef]:
        """Return what was noted; a line that a killed process left half is passed over."""
        found: list[PackRef] = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    pack_id, pack_class, size, offset, objects = json.loads(line)
                    found.append(PackRef(PackId(bytes.fromhex(pack_id)), PackClass(pack_class), size, offset, objects))
        return found

    def clear(self) -> None:
        """Forget everything: it was published."""
        self._path.unlink(missing_ok=True)
