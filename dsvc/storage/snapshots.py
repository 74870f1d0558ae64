"""The port to what keeps datasets itself: ZFS, or another provider of snapshots.

A provider knows datasets and snapshots by names of its own, which are configuration of one machine. A snapshot's guid
is the same wherever it was received.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot of a provider: its name there (`tank/data@dsvc-1f`), its guid, and the bytes that its files have."""

    name: str
    guid: str
    size: int = 0

    @property
    def dataset(self) -> str:
        """The dataset it is of."""
        return self.name.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset: its name and guid, where it is mounted (None: nowhere), and the snapshot it was cloned from ('')."""

    name: str
    guid: str
    mounted_at: Path | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path in a dataset that differs: M modified, A added, D deleted, R renamed (from `old`)."""

    letter: Literal["A", "D", "M", "R"]
    path: bytes
    old: bytes | None = None

    def reversed(self) -> FileChange:
        """Return the change that takes this one back."""
        if self.letter == "R" and self.old is not None:
            return FileChange("R", self.old, self.path)
        opposite: dict[str, Literal["A", "D"]] = {"A": "D", "D": "A"}
        return FileChange(opposite.get(self.letter, self.letter), self.path, self.old)


class SnapshotProvider(Protocol):
    """What keeps datasets. Every method raises errors of the provider's own, in words that say what to do."""

    kind: str
    """What a snapshot reference calls it, such as zfs."""

    in_turn: bool
    """Whether the last `create` took several snapshots one after the other, and not at one moment."""

    def dataset(self, name: str) -> Dataset | None:
        """Return a dataset, or None where there is none of that name."""

    def dataset_at(self, folder: Path) -> str | None:
        """Return the name of the dataset that is mounted at exactly this folder."""

    def create(self, datasets: Sequence[str], label: str) -> list[Kept]:
        """Take a snapshot of each dataset, at one moment within a pool; `label` is the part behind the @."""

    def find(self, guids: Iterable[str], near: Sequence[str]) -> dict[str, Kept]:
        """Return the snapshots of these guids that lie in the pools of the datasets `near`."""

    def snapshots(self, dataset: str) -> list[Kept]:
        """Return the snapshots of a dataset, oldest first, without those of what it was cloned from."""

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """Keep anybody from destroying these snapshots; one that is held under this tag already stays so."""

    def release(self, snapshot: str, tag: str) -> bool:
        """Take a hold away; return False where there is none."""

    def destroy(self, name: str) -> bool:
        """Destroy a snapshot or dataset; return False, and leave it, where something else holds or needs it."""

    def clone(self, snapshot: str, dataset: str, folder: Path | None, *, mark: str) -> None:
        """Make a dataset that goes on from a snapshot, mounted at `folder`, noted as made under `mark`."""

    def rollback(self, snapshot: str) -> None:
        """Make a dataset as its newest snapshot has it; what was written since is lost."""

    def mount(self, dataset: str, folder: Path) -> None:
        """Mount a dataset at a folder; safe to call again."""

    def unmount(self, dataset: str) -> None:
        """Unmount a dataset; safe to call again."""

    def differs(self, old: str, new: str) -> bool:
        """Say whether anything was written between two snapshots of a dataset, or of it and what it was cloned from."""

    def unchanged(self, dataset: str, since: str) -> bool:
        """Say whether it is certain, without a snapshot, that nothing was written to a dataset since one."""

    def written(self, dataset: str, since: str) -> bool:
        """Say whether anything was written to a dataset since a snapshot."""

    def diff(self, old: str, new: str) -> list[FileChange] | None:
        """Return the files that differ between a snapshot and a later one, or the dataset itself as it is now.

        None where the provider cannot tell.
        """

    def rewritten(self, old: str, new: str) -> Mapping[int, int] | None:
        """Return the inode numbers of the files in whose content anything was written between two snapshots.

        A file up to the size that comes with its number is as it was all the same. One that has no number here, and
        the same number and size in both snapshots, is one file with the same content. None where the provider cannot
        tell.
        """

    def send(self, snapshot: str, base: str | None) -> AbstractContextManager[Read]:
        """Give the bytes from which a snapshot is made, from an earlier one (`base`) or from nothing.

        The manager raises at its end where the stream was not complete.
        """

    def receive(self, dataset: str, pieces: Iterable[bytes], guid: str, base: Kept | None, mark: str) -> Kept:
        """Make a snapshot from a stream, which goes on from `base`: in a new dataset, or in the one that ends with it.

        `dataset` is the name for a new one, which is not mounted and noted as made under `mark`. Either all of the
        stream is there afterwards or nothing, and no dataset that is mounted changes.
        """
