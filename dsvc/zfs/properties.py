"""Properties of datasets and snapshots, by `zfs get`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsvc.zfs.errors import ZfsFailedError
from dsvc.zfs.program import Program

_CARRIED = (  # what was set on a dataset and is to hold for a clone of it too: how its files are stored and read
    *("aclinherit", "aclmode", "acltype", "checksum", "compression", "copies", "devices", "dnodesize", "exec"),
    *("logbias", "primarycache", "recordsize", "redundant_metadata", "relatime", "secondarycache", "setuid"),
    *("snapdir", "special_small_blocks", "sync", "xattr"),
)


def values(
    zfs: Program, properties: Sequence[str], *names: str, options: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Return the values of properties by name and property; `options` of `zfs get` ask for more than these names.

    Raises:
        ZfsFailedError: for a property that this ZFS has not. DatasetMissingError.
    """
    said = zfs.call("get", "-Hp", *options, "-o", "name,property,value", ",".join(properties), *names)
    found: dict[str, dict[str, str]] = {}
    for line in said.splitlines():
        name, property_name, value = line.split("\t", 2)
        found.setdefault(name, {})[property_name] = value
    return found


def logical_sizes(zfs: Program, names: Sequence[str]) -> dict[str, int]:
    """Return the bytes that the files of snapshots have, nothing where ZFS does not know them."""
    try:
        found = values(zfs, ("logicalreferenced",), *names)
    except ZfsFailedError:
        return {}
    return {name: int(properties["logicalreferenced"]) for name, properties in found.items()}


def carried(zfs: Program, dataset: str) -> list[str]:
    """Return options that give a clone what was set on a dataset: by itself it inherits from its place alone."""
    said = zfs.call("get", "-Hp", "-s", "local", "-o", "property,value", "all", dataset)
    return [word for name, value in rows(said) if name in _CARRIED for word in ("-o", f"{name}={value}")]


def rows(said: str) -> Iterator[tuple[str, str]]:
    """Yield the two columns of what zfs printed with -H."""
    for line in said.splitlines():
        name, _, value = line.partition("\t")
        yield name, value
