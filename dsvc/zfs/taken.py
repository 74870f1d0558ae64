"""Which snapshots of dsvc lie in a pool, and who took them: told by their names, because zfs-fuse cannot list holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from dsvc.storage.snapshots import Kept
from dsvc.zfs.errors import DatasetMissingError
from dsvc.zfs.properties import rows, values
from dsvc.zfs.provider import LOOK, ZfsProvider, pools


def held(zfs: ZfsProvider, mark: str, near: Sequence[str]) -> list[Kept]:
    """Return the snapshots in the pools of these datasets that dsvc took, or received, under `mark`."""
    found: list[Kept] = []
    made = set(zfs.made(mark, near))
    for pool in pools(near):
        for name, guid in rows(zfs.program.call("get", "-Hp", "-r", "-o", "name,value", "guid", pool)):
            dataset, _, label = name.partition("@")
            received = dataset in made and label.startswith("dsvc-") and not label.startswith(LOOK)
            if received or label.startswith(f"dsvc-{mark}-"):
                found.append(Kept(name, guid))
    return found


def foreign(zfs: ZfsProvider, mark: str, near: Sequence[str]) -> list[Kept]:
    """Return the snapshots of these datasets that other repositories took, and that somebody holds."""
    made = set(zfs.made(mark, near))
    return [
        Kept(name, properties["guid"])
        for dataset, name, properties in _snapshots(zfs, near, "guid", "userrefs")
        if dataset not in made
        and name.startswith(f"{dataset}@dsvc-")
        and not name.startswith(f"{dataset}@dsvc-{mark}-")
        and properties["userrefs"] not in {"0", "-"}
    ]


def looks(zfs: ZfsProvider, near: Sequence[str], *, before: int) -> list[Kept]:
    """Return the snapshots of these datasets that were taken to compare with, before a time in seconds."""
    return [
        Kept(name, properties["guid"])
        for dataset, name, properties in _snapshots(zfs, near, "guid", "creation")
        if name.startswith(f"{dataset}@{LOOK}") and int(properties["creation"]) < before
    ]


def _snapshots(
    zfs: ZfsProvider, near: Sequence[str], *properties: str
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield datasets, each of their snapshots, and properties of that."""
    for dataset in dict.fromkeys(near):
        with suppress(DatasetMissingError):
            found = values(zfs.program, properties, dataset, options=("-r", "-d", "1"))
            yield from ((dataset, name, said) for name, said in found.items() if name.startswith(f"{dataset}@"))
