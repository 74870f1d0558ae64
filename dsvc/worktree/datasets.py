"""Which datasets stand for which folders of one working copy: names that are valid on this machine alone.

The file is JSON, so that people can read and mend it:
`{"dsvc": 1, "datasets": {"data": {"dataset": "tank/data", "guid": "17", "own": ["tank/data"], "active": true}}}`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dsvc.atomic import write_file
from dsvc.errors import BusyError, RequestError

LOCK = "datasets.lock"  # in the folder that all working copies of a repository share
_MARK = re.compile(r"[0-9a-f]{8}")
_PATIENCE = 20.0  # seconds, for a lock


@dataclass(frozen=True, slots=True)
class Place:
    """The dataset that stands for a folder now, with its guid; all that ever did, here or where this was forked from.

    `own` are those that this working copy may mount again. `active` says that the folder is served at present;
    `files`, that it has plain files here, as they were indexed.
    """

    dataset: str
    guid: str
    own: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    active: bool = True
    files: bool = False

    def known(self) -> list[str]:
        """Return every dataset in whose pool a snapshot may lie, the present one first."""
        return [name for name in dict.fromkeys((self.dataset, *self.own, *self.near)) if name]


def repository_mark(file: Path) -> str:
    """Return what tells snapshots and datasets of this repository from those of others here; made when first asked for.

    Raises:
        DamagedDatasetsError: when the file holds something else.
    """
    with suppress(FileExistsError):
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, secrets.token_hex(4).encode())
            os.fsync(fd)
        finally:
            os.close(fd)
    mark = file.read_text(encoding="ascii", errors="replace").strip()
    if not _MARK.fullmatch(mark):
        raise DamagedDatasetsError(
            f"{file} does not hold the eight hexadecimal digits that mark snapshots of this repository",
            hint="'zfs list -t snapshot' shows them behind @dsvc-; write them into that file",
        )
    return mark


class DamagedDatasetsError(RequestError):
    """The file that names the datasets of a working copy cannot be read."""


def lock_datasets(file: Path, *, exclusive: bool) -> int:
    """Lock the snapshots of a repository, against gc or for it; return a descriptor, whose end is that of the lock.

    Raises:
        BusyError: when the other side holds it for long.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            return fd
        except BlockingIOError as error:
            if time.monotonic() > end:
                os.close(fd)
                raise BusyError(
                    "another dsvc process works on the datasets of this repository",
                    hint="run the same command again when it is done",
                ) from error
            time.sleep(0.05)


def read_datasets(file: Path) -> dict[bytes, Place]:
    """Return the datasets by paths; none where there is no such file.

    Raises:
        DamagedDatasetsError: when it is not of its form.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return {}
    try:
        value = json.loads(text)
        if value["dsvc"] != 1:
            raise ValueError(value["dsvc"])
        return {
            os.fsencode(path): Place(
                str(found["dataset"]),
                str(found["guid"]),
                tuple(map(str, found.get("own", ()))),
                tuple(map(str, found.get("near", ()))),
                bool(found["active"]),
                bool(found.get("files", False)),
            )
            for path, found in value["datasets"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedDatasetsError(
            f"{file} does not say which datasets stand for which folders",
            hint="move it aside and name them again: dsvc data add PATH --zfs DATASET",
        ) from error


def write_datasets(file: Path, places: Mapping[bytes, Place]) -> None:
    """Keep the datasets, atomically and durably."""
    value = {
        "dsvc": 1,
        "datasets": {
            os.fsdecode(path): {
                "dataset": place.dataset,
                "guid": place.guid,
                "own": list(place.own),
                "near": list(place.near),
                "active": place.active,
                **({"files": True} if place.files else {}),
            }
            for path, place in sorted(places.items())
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, (json.dumps(value, indent=1) + "\n").encode("utf-8", "surrogateescape"))


def seed_datasets(source: Path, target: Path) -> None:
    """Let another working copy know in whose pools the snapshots of this one's folders lie; both are files as above.

    It gets clones of its own, never the datasets that serve this one.
    """
    places = read_datasets(source)
    if places:
        near = {
            path: Place("", "", near=tuple(place.known()), active=False, files=place.files)
            for path, place in places.items()
        }
        write_datasets(target, near)
