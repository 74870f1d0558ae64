"""Which permissions of `zfs allow` a command of zfs needs, and which of them somebody has.

https://openzfs.github.io/openzfs-docs/man/8/zfs-allow.8.html
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

_NEEDED = {
    "snapshot": ("snapshot",),
    "hold": ("hold",),
    "release": ("release",),
    "destroy": ("destroy", "mount"),
    "clone": ("clone", "create", "mount"),
    "create": ("create", "mount"),
    "rollback": ("rollback",),
    "send": ("send",),
    "receive": ("receive", "create", "mount"),
    "mount": ("mount",),
    "unmount": ("mount",),
    "diff": ("diff",),
}
_MAKES = {"clone", "create", "receive"}  # these ask for permissions on the dataset above the new one


def needed(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the permissions for a command of zfs, such as `("set", "mountpoint=none", "tank/data")`."""
    settings = [word for before, word in pairwise(words) if before == "-o" and words[0] in _MAKES]
    if words[0] == "set":
        settings.append(words[1])
    properties = [word.partition("=")[0] for word in settings]
    extra = ["userprop" if ":" in name else name for name in properties if name != "origin"]
    return tuple(dict.fromkeys((*_NEEDED.get(words[0], () if words[0] == "set" else (words[0],)), *extra)))


def place(words: tuple[str, ...], about: str) -> str:
    """Return the dataset on which they are needed: for one that is made that above it."""
    dataset = (words[-1] if words[0] in _MAKES else about).partition("@")[0]
    return dataset.rpartition("/")[0] or dataset if words[0] in _MAKES else dataset


def missing(wanted: Collection[str], dataset: str, user: str, groups: Collection[str], allowed: str) -> tuple[str, ...]:
    """Return those of the permissions that a user has not on a dataset; all of them where that is not to be known.

    `allowed` is what `zfs allow DATASET` prints: the permissions on the dataset, then those on the ones above it.
    """
    granted: set[str] = set()
    sets: dict[str, set[str]] = {}
    here = holds = False
    for line in allowed.splitlines():
        fields = line.split()
        if line.startswith("----"):
            here, holds = f" {dataset} " in line, False
        elif not line.startswith("\t"):
            holds = line.startswith("Local") or (line.startswith("Descendent") and not here)
            if line.startswith("Local permissions"):
                holds = here
        elif fields[0].startswith("@"):
            sets[fields[0]] = set(fields[1].split(","))
        elif holds and (
            fields[0] == "everyone"
            or (fields[0] == "user" and fields[1] == user)
            or (fields[0] == "group" and fields[1] in groups)
        ):
            granted.update(fields[-1].split(","))
    for name in [name for name in granted if name.startswith("@")]:
        granted |= sets.get(name, set())
    return tuple(name for name in wanted if name not in granted) or tuple(wanted)
