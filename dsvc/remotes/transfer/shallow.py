"""Bring a part of the history: so many commits from each tip, or all that is not here up to what was left out before.

Commits come level by level, from children to parents, then directories level by level; each level is one round of
requests. What is left out is noted by whoever publishes (see dsvc.repo.cuts), by the ids of the first commits that are
absent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.store import ObjectStore
from dsvc.objects.values import Commit, decode_commit, decode_tag
from dsvc.remotes.transfer.history_reader import HistoryReader
from dsvc.repo.reachable import Target, references

_FOLLOWED = frozenset({Kind.TREE, Kind.RUN, Kind.ENVIRONMENT, Kind.SNAPSHOT})


class Wish(NamedTuple):
    """How much history is wanted.

    `depth`: so many commits from each tip. `deepen`: so many more behind each place where history was cut. `whole`: all
    of it. `reach`: what lies between these commits, which were left out, and what is here. With none of them what is
    new, and what was cut stays cut.
    """

    depth: int | None = None
    deepen: int | None = None
    whole: bool = False
    reach: frozenset[CommitId] = frozenset()

    @property
    def any(self) -> bool:
        """Whether something is wanted that a fetch does not do by itself."""
        return self.depth is not None or self.deepen is not None or self.whole or bool(self.reach)


class Brought(NamedTuple):
    """What came of a wish: the commits that are left out from now on, and where walks through what arrived stop.

    `again` are commits that were left out before and have arrived.
    """

    cut: frozenset[CommitId]
    stops: frozenset[CommitId]
    again: tuple[CommitId, ...]


class Choice:
    """Chooses what to bring; `here` are the commits that are complete here, up to those that are `cut`."""

    def __init__(
        self,
        reader: HistoryReader,
        *,
        here: Collection[bytes],
        cut: Collection[CommitId],
        cut_there: Collection[CommitId],
    ) -> None:
        self._reader = reader
        self._here = here
        self._cut = frozenset(cut)
        self._cut_there = cut_there
        self._walked: dict[CommitId, Commit] = {}
        self._beyond: set[CommitId] = set()

    def choose(self, tips: Iterable[Target], wish: Wish) -> Brought:
        """Read and mark what is wanted of the history below `tips`.

        Raises:
            NotThereError: when the remote lacks something. What reading raises.
        """
        commits, loose = self._peeled(tips)
        if wish.depth is not None:
            self._walk(commits, most=wish.depth, through=True)
        else:
            if wish.whole:
                commits += self._absent()
            self._walk(commits, most=None)
            self._walk([i for i in self._absent() if i in wish.reach], most=None)
            if wish.deepen is not None:
                self._walk(self._absent(), most=wish.deepen)
        fresh = [commit for commit_id, commit in self._walked.items() if commit_id not in self._here]
        below = [(Kind.TREE, bytes(commit.tree)) for commit in fresh]
        below += [(Kind.RUN, bytes(run)) for commit in fresh for run in commit.runs]
        below += [(Kind.ENVIRONMENT, bytes(c.environment)) for c in fresh if c.environment is not None]
        self._read_below([*loose, *below])
        beyond = {i for i in self._beyond if i not in self._walked and i not in self._here}
        again = tuple(sorted(i for i in self._cut if i in self._walked))
        return Brought(frozenset((self._cut - self._walked.keys()) | beyond), self._cut | beyond, again)

    def take_tags(self, tags: Iterable[bytes]) -> None:
        """Mark those tag objects that lead to commits which are here or come now."""
        wanted: list[Target] = [(Kind.TAG, tag) for tag in tags]
        for target, payload in self._reader.read(wanted, mark=False).items():
            tag = decode_tag(payload)
            known = tag.target in self._here or tag.target in self._walked
            if tag.target_kind == Kind.COMMIT and known:
                self._reader.marks.mark(target)

    def _peeled(self, tips: Iterable[Target]) -> tuple[list[CommitId], list[Target]]:
        commits: dict[CommitId, None] = {}
        loose: list[Target] = []
        level = list(tips)
        while level:
            tags = [target for target in level if target[0] == Kind.TAG]
            for kind, wanted in level:
                if kind == Kind.COMMIT:
                    commits[CommitId(ObjectId(wanted))] = None
                elif kind != Kind.TAG:
                    loose.append((kind, wanted))
            read = self._reader.read(tags).values()
            level = [(tag.target_kind, bytes(tag.target)) for tag in map(decode_tag, read)]
        return list(commits), loose

    def _absent(self) -> list[CommitId]:
        """Return the commits that were left out here and that the remote has."""
        return sorted(i for i in self._cut if i not in self._cut_there and i not in self._walked)

    def _walk(self, starts: Iterable[CommitId], *, most: int | None, through: bool = False) -> None:
        """Read commits from children to parents, at most so many levels.

        `through`: also those that are here, for they count.
        """
        level = [i for i in dict.fromkeys(starts) if i not in self._walked and (through or i not in self._here)]
        depth = 0
        while level:
            depth += 1
            read = self._reader.read((Kind.COMMIT, bytes(i)) for i in level)
            commits = {CommitId(ObjectId(wanted)): decode_commit(payload) for (_, wanted), payload in read.items()}
            self._walked.update(commits)
            parents = dict.fromkeys(p for i in level for p in commits[i].parents if p not in self._walked)
            absent = [p for p in parents if p in self._cut_there and p not in self._here]
            self._beyond.update(absent)
            following = [p for p in parents if p not in absent]
            if not through:
                following = [p for p in following if p not in self._here and p not in self._cut]
            if most is not None and depth >= most:
                self._beyond.update(following)
                return
            level = following

    def _read_below(self, targets: Iterable[Target]) -> None:
        seen: set[Target] = set()
        level = [target for target in dict.fromkeys(targets) if target[0] in _FOLLOWED]
        while level:
            seen.update(level)
            found = self._reader.read(level)
            below = dict.fromkeys(t for (kind, _), payload in found.items() for t in references(kind, payload))
            level = [t for t in below if t[0] in _FOLLOWED and t not in seen]


def complete_here(store: ObjectStore, known: Iterable[CommitId], cut: Collection[bytes]) -> set[bytes]:
    """Return the commits that refs reach here, up to those that were left out."""
    found: set[bytes] = set()
    stack: list[bytes] = list(known)
    while stack:
        commit_id = stack.pop()
        if commit_id not in found and commit_id not in cut:
            found.add(commit_id)
            stack += decode_commit(store.get(commit_id, Kind.COMMIT)).parents
    return found
