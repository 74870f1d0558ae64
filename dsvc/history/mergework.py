"""The decisions of a three-way merge of trees, path by path: renamed directories, renamed files, then the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from dsvc.history.dirrenames import DirectoryRenames
from dsvc.history.mergeentry import ConflictKind, EntryMerge, EntryMerger, Versions
from dsvc.history.mergerenames import MergeRenames, is_below
from dsvc.history.mergeresult import beside_name
from dsvc.history.mergewalk import OURS, THEIRS, Divided
from dsvc.history.renames import Rename, is_alike
from dsvc.history.treediff import directory_of
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry


class Conflict(NamedTuple):
    """A path at which two sides could not be brought together, and the versions that met there.

    `versions` says what stood where; `kept` are the paths of the merged tree that hold something of it. The merged
    tree has the text with markers, or ours at `path` and theirs at the second of `kept`.
    """

    path: bytes
    kind: ConflictKind
    versions: Versions
    kept: tuple[bytes, ...]


_Pair: TypeAlias = tuple[Entry | None, Entry | None]


@dataclass(slots=True)
class MergeWork:
    """One merge in progress. `results` says what differs from ours and from what is taken from theirs."""

    store: ObjectStore
    trees: tuple[TreeId | None, TreeId, TreeId]
    divided: Divided
    found: MergeRenames
    merger: EntryMerger
    results: dict[bytes, Entry | None] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    merged: set[bytes] = field(default_factory=set)
    moved: dict[bytes, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    origins: tuple[dict[bytes, bytes], dict[bytes, bytes]] = field(default_factory=lambda: ({}, {}))

    def run(self) -> None:
        """Decide everything; the outcome is in `results`, `conflicts`, `merged`, `moved` and `notes`."""
        pending = {
            path: Versions(base, our, their, path, path, path) for path, base, our, their in self.divided.both
        }
        for side in (OURS, THEIRS):
            self._follow_directories(side, pending)
        self._follow_files(pending)
        for path, versions in sorted(pending.items()):
            self._settle(path, versions)
        self._separate()

    # Renamed directories.

    def _follow_directories(self, side: int, pending: dict[bytes, Versions]) -> None:
        """Move what `side` added to directories that the other side renamed."""
        renamed = self.found.directories[1 - side]
        if not renamed.renames:
            return
        additions = self.found.additions[side]
        going = {path: new for path in additions if (new := self._destination(renamed, side, path)) is not None}
        arriving: dict[bytes, list[bytes]] = {}
        for path, new in going.items():
            arriving.setdefault(new, []).append(path)
        for new, paths in sorted(arriving.items()):
            if len(paths) > 1 or self._at(side, new) is not None:
                for path in paths:
                    versions = self._versions(path, side, additions[path], path)
                    self.conflicts.append(Conflict(path, "directory rename", versions, (path,)))
                continue
            path = paths[0]
            self.moved[path] = new
            self.origins[side][new] = path
            pending.pop(path, None)
            self.results[path] = None
            other = self._leaf(1 - side, new)
            base = self._leaf(-1, new)
            entry = additions[path]
            places = (new, new)
            pending[new] = Versions(
                base,
                entry if side == OURS else other,
                other if side == OURS else entry,
                new,
                path if side == OURS else places[OURS],
                path if side == THEIRS else places[THEIRS],
            )

    def _destination(self, renamed: DirectoryRenames, side: int, path: bytes) -> bytes | None:
        new = renamed.moved(path)
        if new is None or new == path:
            return None
        # A directory that this side has renamed again is no place to put a file into.
        again = self.found.directories[side].renames
        return None if any(is_below(new, directory) for directory in again) else new

    # Renamed files.

    def _follow_files(self, pending: dict[bytes, Versions]) -> None:
        by_new: dict[bytes, dict[int, Rename]] = {}
        for path in sorted(self.found.files[OURS].keys() | self.found.files[THEIRS].keys()):
            pair = [self.found.files[side].get(path) for side in (OURS, THEIRS)]
            places = [self.moved.get(r.new_path, r.new_path) if r is not None else None for r in pair]
            ours, theirs = pair
            if ours is not None and theirs is not None and places[0] != places[1]:
                assert places[0] is not None
                assert places[1] is not None
                self._two_names(ours, theirs, places[0], places[1], pending)
                continue
            for side in (OURS, THEIRS):
                rename, place = pair[side], places[side]
                if rename is not None and place is not None:
                    by_new.setdefault(place, {})[side] = rename._replace(new_path=place)
        for new, incoming in sorted(by_new.items()):
            self._arrive(new, incoming, pending)

    def _arrive(self, new: bytes, incoming: Mapping[int, Rename], pending: dict[bytes, Versions]) -> None:
        """Bring a renamed file together with what the other side made of it, and with what else came to its name."""
        sides = {side: self._renamed(side, rename, pending) for side, rename in incoming.items()}
        same = len(incoming) == 2 and incoming[OURS].old_path == incoming[THEIRS].old_path
        for side, rename in incoming.items():
            self._leave(side, rename, pending)
        if same:
            rename = incoming[OURS]
            there = incoming[THEIRS].new
            pending[new] = Versions(rename.old, rename.new, there, rename.old_path, new, new)
            return
        if len(incoming) == 1:
            ((side, versions),) = sides.items()
            rename = incoming[side]
            own = self._present(1 - side, new, pending)
            if own is None:
                pending[new] = versions
                return
            if versions.side(1 - side) is None:  # the other side deleted the file and put another one there
                pending[new] = Versions(None, versions.ours or own, versions.theirs or own, new, new, new)
                return
            outcome = self.merger.merge(new, versions)
            self._note(new, versions, outcome, place=False)
            pair: _Pair = (outcome.entry, own) if side == OURS else (own, outcome.entry)
        else:
            outcomes = []
            for side in (OURS, THEIRS):
                versions = sides[side]
                if versions.side(1 - side) is None:
                    outcomes.append(EntryMerge(versions.side(side)))
                    continue
                outcomes.append(self.merger.merge(new, versions))
                self._note(new, versions, outcomes[-1], place=False)
            pair = (outcomes[0].entry, outcomes[1].entry)
        met = Versions(None, pair[OURS], pair[THEIRS], new, new, new)
        outcome = self.merger.merge(new, met)
        if outcome.conflict is not None:
            outcome = EntryMerge(outcome.entry, "rename/add", outcome.beside, outcome.merged)
        self._note(new, met, outcome, place=True)
        pending.pop(new, None)

    def _two_names(
        self, ours: Rename, theirs: Rename, our_place: bytes, their_place: bytes, pending: dict[bytes, Versions]
    ) -> None:
        """Keep a file that each side gave another name under both, with both sides' changes."""
        versions = Versions(ours.old, ours.new, theirs.new, ours.old_path, our_place, their_place)
        outcome = self.merger.merge(our_place, versions)
        pending.pop(ours.old_path, None)
        self.results.setdefault(ours.old_path, None)
        kept = []
        for side, place in ((OURS, our_place), (THEIRS, their_place)):
            own = self._present(1 - side, place, pending)
            entry = outcome.entry if outcome.beside is None or side == OURS else outcome.beside
            if own is not None and own != entry:
                pending.pop(place, None)
                self.results[place] = own
                place = self._free_name(place, side)  # noqa: PLW2901
            else:
                pending.pop(place, None)
            self.results[place] = entry
            kept.append(place)
        self.notes += outcome.notes
        if outcome.merged:
            self.merged.update(kept)
        self.conflicts.append(Conflict(our_place, "rename/rename", versions, tuple(kept)))

    def _leave(self, side: int, rename: Rename, pending: dict[bytes, Versions]) -> None:
        """Clear the old path of a renamed file, but for what the other side put there in its stead."""
        path = rename.old_path
        known = pending.pop(path, None)
        there = known.side(1 - side) if known is not None else self._leaf(1 - side, path)
        if there is not None and not is_alike(there, rename.old):
            pending[path] = self._versions(path, 1 - side, there, path)
        else:
            self.results.setdefault(path, None)

    def _renamed(self, side: int, rename: Rename, pending: Mapping[bytes, Versions]) -> Versions:
        """Return the versions of a file that `side` renamed."""
        old_path, new = rename.old_path, rename.new_path
        known = pending.get(old_path)
        there = known.side(1 - side) if known is not None else self._leaf(1 - side, old_path)
        if old_path in self.found.files[1 - side] or (there is not None and not is_alike(there, rename.old)):
            there = None  # gone, or something else stands there, which stays
        if side == OURS:
            return Versions(rename.old, rename.new, there, old_path, new, old_path)
        return Versions(rename.old, there, rename.new, old_path, old_path, new)

    # Results.

    def _settle(self, path: bytes, versions: Versions) -> None:
        alone = versions.ours is None or versions.theirs is None
        if alone and versions.base is not None and versions.base_path != path:
            outcome = EntryMerge(versions.ours or versions.theirs, "rename/delete")
        else:
            outcome = self.merger.merge(path, versions)
        self._note(path, versions, outcome, place=True)

    def _note(self, path: bytes, versions: Versions, outcome: EntryMerge, *, place: bool) -> None:
        """Record an outcome; with `place` its entry goes to `path`."""
        kept = [path] if outcome.entry is not None else []
        if outcome.beside is not None:
            name = self._free_name(path, THEIRS)
            self.results[name] = outcome.beside
            kept.append(name)
        if place:
            self.results[path] = outcome.entry
        self.notes += outcome.notes
        if outcome.merged:
            self.merged.add(path)
        if outcome.conflict is not None:
            self.conflicts.append(Conflict(path, outcome.conflict, versions, tuple(kept)))

    def _separate(self) -> None:
        """Move files out of the way of directories of the same name."""
        doubtful = set(self.divided.mixed)
        for path, entry in self.results.items():
            if entry is not None and any(directory_of(self._at(side, path)) for side in (OURS, THEIRS)):
                doubtful.add(path)
        for path in sorted(doubtful):
            entry = self.results.get(path)
            if entry is None or not self._has_content(path):
                continue
            side = OURS if self._leaf(OURS, path) is not None else THEIRS
            place = self._free_name(path, side)
            self.results[path] = None
            self.results[place] = entry
            earlier = [c for c in self.conflicts if path in c.kept]
            for conflict in earlier:
                kept = tuple(place if p == path else p for p in conflict.kept)
                self.conflicts.remove(conflict)
                self.conflicts.append(Conflict(conflict.path, conflict.kind, conflict.versions, kept))
            versions = Versions(
                self._leaf(-1, path), self._leaf(OURS, path), self._leaf(THEIRS, path), path, path, path
            )
            self.conflicts.append(Conflict(path, "file/directory", versions, (place,)))

    def _has_content(self, path: bytes) -> bool:
        """Say whether a directory at `path` would hold anything in the result."""
        below = path + b"/"
        inner = {p[len(below) :]: e for p, e in self.results.items() if p.startswith(below)}
        taken = {p[len(below) :]: e for p, e in self.divided.taken.items() if p.startswith(below)}
        if any(e is not None for e in inner.values()) or any(
            e is not None and (directory_of(e) is None or p not in inner) for p, e in taken.items() if p not in inner
        ):
            return True
        tree = directory_of(self._at(OURS, path))
        if tree is None:
            return False
        edited = TreeId(trees.edit_tree(self.store, tree, {**taken, **inner}).id)  # type: ignore[arg-type]
        return any(directory_of(entry) is None for _, entry in trees.walk(self.store, edited))

    def _free_name(self, path: bytes, side: int) -> bytes:
        def used(name: bytes) -> bool:
            return name in self.results or any(self._at(number, name) is not None for number in (OURS, THEIRS))

        return beside_name(path, self.merger.labels.of(side), used)

    # What stands where.

    def _at(self, side: int, path: bytes) -> Entry | None:
        tree = self.trees[1 + side]
        return trees.lookup(self.store, tree, path) if tree is not None else None

    def _leaf(self, side: int, path: bytes) -> Entry | None:
        """Return what stands at a path on a side (-1: the base) when it is no directory."""
        entry = self._at(side, path)
        return None if directory_of(entry) is not None else entry

    def _present(self, side: int, path: bytes, pending: Mapping[bytes, Versions]) -> Entry | None:
        """Return what a side itself has at a path, after renamed directories were followed."""
        known = pending.get(path)
        return known.side(side) if known is not None else self._leaf(side, path)

    def _versions(self, path: bytes, side: int, entry: Entry, at: bytes) -> Versions:
        return Versions(None, entry if side == OURS else None, entry if side == THEIRS else None, path, at, at)
