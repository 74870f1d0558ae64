"""The files of installed distributions, if they are those that an environment recorded."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dsvc.environments.environment import Distribution
from dsvc.environments.installed import find_distributions, info_names, is_added, name_of, record_rows


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file of a distribution: its path from site-packages, where it lies, and its SHA-256 in hex by the RECORD."""

    path: str
    place: str
    sha256: str


@dataclass(frozen=True, slots=True)
class InstalledFiles:
    """The files of one distribution, its `.dist-info` folder's name among them."""

    name: str
    version: str
    info: str
    files: tuple[InstalledFile, ...]


def find_files(folders: Sequence[str], wanted: Iterable[Distribution]) -> dict[str, InstalledFiles]:
    """Return the files of those distributions that are installed in `folders` just as they were recorded, by name.

    As recorded means that the RECORD says the same of all files; whether they are what it says is for the reader of
    each to check. What installers add, launchers among it, is left out.
    """
    by_name = {one.name: one for one in wanted if one.contents is not None}
    same = {
        one.name
        for one in find_distributions(folders, None, names=by_name.keys()).distributions
        if one.name in by_name and (one.version, one.contents) == _identity(by_name[one.name])
    }
    found: dict[str, InstalledFiles] = {}
    for folder in folders:
        for info in info_names(folder):
            name = name_of(info)
            if name not in same or name in found or not info.endswith(".dist-info"):
                continue
            files = _files(folder, info)
            if files is not None:
                found[name] = InstalledFiles(name, by_name[name].version, info, files)
    return found


def record_text(one: InstalledFiles, sizes: Mapping[str, int]) -> str:
    """Return a RECORD of these files alone; `sizes` are their bytes by path."""
    lines = []
    for file in sorted(one.files, key=lambda file: file.path):
        digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).rstrip(b"=").decode()
        path = f'"{file.path}"' if "," in file.path else file.path
        lines.append(f"{path},sha256={digest},{sizes[file.path]}\n")
    return "".join([*lines, f"{one.info}/RECORD,,\n"])


def _identity(one: Distribution) -> tuple[str, bytes | None]:
    return one.version, one.contents


def _files(folder: str, info: str) -> tuple[InstalledFile, ...] | None:
    """Return the files that a RECORD names; None where it has a digest of another kind, or leads out."""
    found = []
    try:
        with open(os.path.join(folder, info, "RECORD"), encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError:
        return None
    for row in record_rows(text):
        if row is None or len(row) != 3 or not row[1] or is_added(row[0], info):
            continue
        kind, _, encoded = row[1].partition("=")
        path = os.path.normpath(row[0])
        if kind != "sha256" or os.path.isabs(path) or path.startswith("../../../.."):
            return None
        try:
            digest = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()
        except (ValueError, binascii.Error):
            return None
        found.append(InstalledFile(path, os.path.join(folder, path), digest))
    return tuple(found)
