"""What a first push will send, found out while the far end of a connection starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsvc.actions.revision import ancestry_below
from dsvc.errors import IntegrityError
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import REMOTES
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.selection import Stored, Walk
from dsvc.repo.reachable import Marks, Target
from dsvc.repo.tombstones import purged_files
from dsvc.workspace import Workspace

_MOST = 400_000  # objects that are looked through at a guess: half a second


class _TooManyError(Exception):
    """Whoever waits would notice if the guess was wrong."""


@dataclass(frozen=True, slots=True)
class FirstPush:
    """All that `tips` reach, as it stood when the repository's head had the value `head`."""

    tips: frozenset[Target]
    head: bytes | None
    marks: Marks

    def fits(self, workspace: Workspace, tips: Iterable[Target]) -> bool:
        """Say whether that is what `tips` need at a place that has nothing."""
        return frozenset(tips) == self.tips and workspace.repo.head.value == self.head


def guess_first_push(workspace: Workspace, settings: RemoteSettings, tips: Iterable[Target]) -> FirstPush | None:
    """Return what is sent when there is nothing at the remote, None where there is more to find out first."""
    repo = workspace.repo
    seen_before = settings.name is None or any(workspace.view().items(f"{REMOTES}{settings.name}/"))
    if seen_before or repo.cut or purged_files(repo):
        return None
    wanted = list(tips)
    marks = Marks(repo.store.packs, repo.head.packs.packs)
    with contextlib.suppress(IntegrityError, _TooManyError):  # what is missing is told when all is known
        commits = [CommitId(ObjectId(i)) for kind, i in wanted if kind == Kind.COMMIT]
        Walk(repo.store, _Bounded(Stored(repo.store, marks, None))).add(
            ancestry_below(workspace, commits), wanted, known=[]
        )
        return FirstPush(frozenset(wanted), repo.head.value, marks)
    return None


class _Bounded:
    """A taker that gives up after so many objects."""

    def __init__(self, inner: Stored) -> None:
        self._inner = inner
        self._left = _MOST

    def take(self, kind: Kind, wanted: bytes) -> None:
        """See `Taker.take`."""
        self._count(1)
        self._inner.take(kind, wanted)

    def take_file(self, wanted: bytes, *, small: bool) -> None:
        """See `Taker.take_file`."""
        self._count(1)
        self._inner.take_file(wanted, small=small)

    def take_small_files(self, wanted: Sequence[bytes]) -> None:
        """See `Taker.take_small_files`."""
        self._count(len(wanted))
        self._inner.take_small_files(wanted)

    def _count(self, taken: int) -> None:
        self._left -= taken
        if self._left < 0:
            raise _TooManyError
