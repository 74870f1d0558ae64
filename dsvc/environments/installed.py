"""The distributions that an interpreter finds on its path, read from their metadata on disk.

Of two with one name the interpreter takes that of the earlier folder, and so does this. Nothing is imported, and what
is damaged is told in notes: an environment with a broken package in it is still worth recording.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from dsvc.environments.environment import Distribution
from dsvc.environments.interpreter import clean
from dsvc.environments.sources import BadSourceError, editable_source, read_source
from dsvc.objects.ids import content_id

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_SEPARATORS = re.compile(r"[-_.]+")
_INFO = (".dist-info", ".egg-info", ".egg", ".egg-link")
# What an installer adds to a wheel's files; they differ from place to place.
_ADDED = frozenset({"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json",
                    "uv_cache.json", "uv_build.json"})  # fmt: skip
_LAUNCHERS = ("bin", "Scripts")
_HEADER = 1 << 20  # bytes of a METADATA that are looked at for name and version


@dataclass(slots=True)
class Found:
    """What was found: distributions, the folders of those that are used in place, shared objects, and notes."""

    distributions: list[Distribution] = field(default_factory=list)
    editable: dict[str, str] = field(default_factory=dict)  # normalized name -> folder
    modules: list[str] = field(default_factory=list)  # paths of shared objects
    notes: list[str] = field(default_factory=list)


def normalized(name: str) -> str:
    """Return a name as indexes compare it: lower case, one hyphen for each run of hyphens, dots and underlines."""
    return _SEPARATORS.sub("-", name).lower()


def find_distributions(path: Iterable[str], root: str | None, *, names: Collection[str] | None = None) -> Found:
    """Return what is installed in the folders of `path`; what lies in `root` is named by its path in there.

    With `names`, normalized ones, it is no more than those, and what they require is told whether it is there or not.
    """
    found = Found()
    seen: set[str] = set()
    for folder in path:
        here: dict[str, str] = {}
        for name in info_names(folder):
            if names is not None and name_of(name) not in names:
                continue
            distribution = _read(folder, name, root, found)
            if distribution is None or distribution.name in seen:
                continue
            if distribution.name in here:
                found.notes.append(
                    f"{distribution.name} is installed twice in one folder: {here[distribution.name]} and "
                    f"{distribution.version}"
                )
            here[distribution.name] = distribution.version
            found.distributions.append(distribution)
        seen |= here.keys()
    if names is None:
        found.distributions = _among(found.distributions, seen)
    found.distributions.sort(key=lambda one: (one.name, one.version))
    found.notes.sort()
    return found


def _among(some: Iterable[Distribution], seen: Collection[str]) -> list[Distribution]:
    return [one._replace(requires=tuple(name for name in one.requires if name in seen)) for one in some]


def name_of(info: str) -> str:
    """Return the normalized name of the distribution whose metadata are in a folder or file of this name."""
    return normalized(info.rpartition(".")[0].split("-")[0])


def info_names(folder: str) -> list[str]:
    """Return the names in a folder that stand for distributions, in order; none where it cannot be read."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(_INFO))
    except OSError:
        return []


def _read(folder: str, name: str, root: str | None, found: Found) -> Distribution | None:
    shown = clean(name)
    if name.startswith("~"):
        found.notes.append(f"{shown} was left behind by an installation that was broken off")
        return None
    if name.endswith(".egg-link"):
        return None  # the folder that it names is on the path, and found there
    place = os.path.join(folder, name)
    if name.endswith(".dist-info"):
        return _read_wheel(folder, name, root, found)
    metadata = _metadata(place, ("PKG-INFO", os.path.join("EGG-INFO", "PKG-INFO"), ""))
    title, version = _identity(metadata, name, found)
    if not title:
        return None
    in_place = os.path.basename(folder) not in ("site-packages", "dist-packages")  # it lies in its source tree
    if in_place:
        found.editable[normalized(title)] = folder
    return Distribution(normalized(title), version, source=editable_source(folder, root) if in_place else None)


def _read_wheel(folder: str, name: str, root: str | None, found: Found) -> Distribution | None:
    place = os.path.join(folder, name)
    metadata = _metadata(place, ("METADATA",))
    title, version = _identity(metadata, name, found)
    if not title:
        return None
    source, where = None, ""
    data = _bytes(os.path.join(place, "direct_url.json"))
    if data is not None:
        try:
            source, where = read_source(data, root)
        except BadSourceError as error:
            found.notes.append(f"{clean(name)}/direct_url.json cannot be used: {error}")
    editable = source is not None and source.kind == "editable"
    if editable and where:
        found.editable[normalized(title)] = where
    contents = _contents(folder, name, found, editable=editable)
    installer = _bytes(os.path.join(place, "INSTALLER")) or b""
    return Distribution(
        name=normalized(title),
        version=version,
        contents=None if editable else contents,
        installer=clean(installer.decode("utf-8", "replace").strip().partition("\n")[0][:100]),
        wheel=_wheel_tags(_bytes(os.path.join(place, "WHEEL")) or b""),
        requires=_required(metadata or b""),
        requested=os.path.lexists(os.path.join(place, "REQUESTED")),
        license=_license(metadata or b""),
        source=source,
    )


def _metadata(place: str, names: Iterable[str]) -> bytes | None:
    for name in names:
        data = _bytes(os.path.join(place, name) if name else place)
        if data is not None:
            return data
    return None


def _identity(metadata: bytes | None, name: str, found: Found) -> tuple[str, str]:
    """Return name and version by the metadata, else by the folder's name; empty texts where neither tells."""
    headers = dict(reversed(_headers(metadata or b"")))  # of a header that is there twice, the first
    title, version = headers.get(b"name"), headers.get(b"version")
    if title and version:
        try:
            return title.decode("utf-8"), version.decode("utf-8")
        except UnicodeDecodeError:
            found.notes.append(f"{clean(name)}: its name or version is not UTF-8")
            return title.decode("utf-8", "replace"), version.decode("utf-8", "replace")
    stem = name.rpartition(".")[0].split("-")
    what = "has no metadata" if metadata is None else "has metadata without name or version"
    if len(stem) >= 2 and stem[0] and stem[1]:
        found.notes.append(f"{clean(name)} {what}: name and version are those of the folder")
        return clean(stem[0]), clean(stem[1])
    found.notes.append(f"{clean(name)} {what} and was left out")
    return "", ""


def _headers(metadata: bytes) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for line in metadata[:_HEADER].splitlines():
        if not line.strip():
            break
        key, colon, value = line.partition(b":")
        if colon:
            headers.append((key.strip().lower(), value.strip()))
    return headers


def _required(metadata: bytes) -> tuple[str, ...]:
    """Return the normalized names that a METADATA requires, those of extras left out."""
    names = set()
    for key, value in _headers(metadata):
        requirement, _, marker = value.decode("utf-8", "replace").partition(";")
        match = _REQUIREMENT.match(requirement) if key == b"requires-dist" and "extra" not in marker else None
        if match is not None:
            names.add(normalized(match[1]))
    return tuple(sorted(names))


def _license(metadata: bytes) -> str:
    headers = dict(_headers(metadata))
    return clean(headers.get(b"license-expression", b"").decode("utf-8", "replace")[:200])


def _wheel_tags(data: bytes) -> tuple[str, ...]:
    lines = data.decode("utf-8", "replace").splitlines()
    return tuple(line[4:].strip() for line in lines if line.startswith("Tag:"))[:20]


def _contents(folder: str, name: str, found: Found, *, editable: bool) -> bytes | None:
    """Return what stands for the files of a RECORD, and note its shared objects: see docs/formats/environment.md."""
    data = _bytes(os.path.join(folder, name, "RECORD"))
    if data is None:
        if not editable:
            found.notes.append(f"{clean(name)} has no RECORD, so its files are not known")
        return None
    rows, bad = [], False
    for row in record_rows(data.decode("utf-8", "surrogateescape")):
        if row is None or len(row) != 3:
            bad = True
            continue
        path, digest, _ = row
        if path.endswith(".so") or ".so." in os.path.basename(path):
            found.modules.append(os.path.normpath(os.path.join(folder, path)))
        if digest and not is_added(path, name):
            rows.append(f"{path},{digest}\n")
    if bad:
        found.notes.append(f"{clean(name)}/RECORD has lines that are not of its form")
    if not rows:
        return None
    return content_id("".join(sorted(rows)).encode("utf-8", "surrogateescape"))


def record_rows(text: str) -> Iterator[list[str] | None]:
    """Yield the rows of a RECORD, None for what is no row; most hold no quotes and need no CSV reader."""
    for line in text.splitlines():
        if '"' not in line:
            if line:
                yield line.split(",")
            continue
        try:
            yield next(csv.reader([line], strict=True))
        except (csv.Error, StopIteration):
            yield None


def is_added(path: str, name: str) -> bool:
    """Say whether an installer wrote this file, so that it differs from place to place."""
    head, _, tail = path.rpartition("/")
    if head == name:
        return tail in _ADDED
    if path.endswith((".pyc", ".pyo")):
        return True
    return path.startswith("../") and head.rpartition("/")[2] in _LAUNCHERS


def _bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
