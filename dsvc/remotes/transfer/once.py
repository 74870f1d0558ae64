"""Names that are made once and never moved, as those of runs: two repositories exchange them as a set.

There may be a million of them, so nobody lists them. Both views are sorted maps that share most of their nodes, and
what differs is found by comparing the maps. A push is cheaper still: it asks only for the names that came since the two
were last compared, which a file beside the transfers remembers.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import write_file
from dsvc.errors import IntegrityError
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId, ViewId
from dsvc.objects.store import ObjectStore
from dsvc.refs.view import Direct, View

_FEW = 500  # names that are looked up one by one

Named = tuple[str, Direct]


class Compared(NamedTuple):
    """Names that only one side has: those of `ours` that they lack, and of theirs that we lack."""

    ours: tuple[Named, ...]
    theirs: tuple[Named, ...]


class Level:
    """A file that says of which view of ours all names were there when the two sides were last compared.

    It may be deleted at any time: then the whole maps are compared.
    """

    def __init__(self, path: Path, place: str) -> None:
        self._path = path
        self._place = place.encode("utf-8", "surrogateescape")

    def view(self, store: ObjectStore) -> View | None:
        """Return that view, or None where nothing is known of this place."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return None
        view_id, place = data[:ID_LENGTH], data[ID_LENGTH:]
        if place != self._place or len(view_id) != ID_LENGTH or not store.has(view_id, Kind.VIEW):
            return None
        return View(store, ViewId(ObjectId(view_id)))

    def set(self, view: View) -> None:
        """Note that all names of this view are there."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._path, view.id + self._place, durable=False)

    def forget(self) -> None:
        """Let the next push compare everything."""
        self._path.unlink(missing_ok=True)


def compare(ours: View, theirs: View, prefix: str) -> Compared:
    """Return the names below `prefix` that one side has and the other has not.

    A name that both have with different objects stays what it is on each side.
    """
    here, there = [], []
    for name, old, new in ours.differences(theirs, prefix):
        if new is None and isinstance(old, Direct):
            here.append((name, old))
        elif old is None and isinstance(new, Direct):
            there.append((name, new))
    return Compared(tuple(here), tuple(there))


def lacking(ours: View, theirs: View, prefix: str, *, since: View | None) -> list[Named]:
    """Return the names of `ours` below `prefix` that they lack; all names of `since` are taken to be there.

    That is looked at once: when they have not the first one of `since` either, the place is another one than it was,
    and all names are compared.
    """
    if since is not None:
        try:
            fresh = [
                (name, new) for name, old, new in since.differences(ours, prefix) if old is None and new is not None
            ]
            witness = next(since.items(prefix), None)
            if witness is None or theirs.get(witness[0]) is not None:
                return [(n, ref) for n, ref in fresh if isinstance(ref, Direct) and theirs.get(n) is None]
        except IntegrityError:
            pass  # the older view is garbage by now
    few = list(islice(ours.items(prefix), _FEW + 1))
    if len(few) <= _FEW:  # and there may be a million
        return [(name, ref) for name, ref in few if isinstance(ref, Direct) and theirs.get(name) is None]
    return list(compare(ours, theirs, prefix).ours)
