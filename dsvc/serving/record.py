"""The folder that is served: its record, and whether its files are what the record says.

See docs/formats/served-model.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dsvc.errors import FormatTooNewError, IntegrityError, RequestError

RECORD: Final = "dsvc-model.json"
SCHEMA: Final = "dsvc.served-model"
VERSION: Final = 1
_PIECE: Final = 1 << 20
_PROVENANCE: Final = (
    "name", "version", "version_id", "content", "commit", "run", "run_id", "environment", "datasets",
    "datasets_count", "framework", "framework_version", "made", "user", "metrics", "params", "trusted",
)  # fmt: skip


class NoModelFolderError(RequestError):
    """A folder in which there is no model to serve."""


class WrongFileError(IntegrityError):
    """A file of a model is not what its record says."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A folder, and what its record says; without a record nothing is known, and all files belong to the model."""

    folder: Path
    files: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name, that of the folder where there is no record."""
        return str(self.fields.get("name") or self.folder.resolve().name or "model")

    @property
    def version(self) -> str:
        """The number of the version, `0` where it is not known."""
        return str(self.fields.get("version") or 0)

    @property
    def framework(self) -> str:
        """The framework, empty where it is not known."""
        return str(self.fields.get("framework") or "").lower()

    @property
    def commit(self) -> str:
        """The commit in hex, empty where it is not known."""
        return str(self.fields.get("commit") or "")

    @property
    def is_trusted(self) -> bool:
        """Whether a signed commit holds these files, as whoever made the folder found."""
        return isinstance(self.fields.get("trusted"), Mapping)

    def path(self, name: str) -> Path:
        """Return where a file lies."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Say whether a file belongs to the model."""
        return name in self.files

    def provenance(self) -> dict[str, Any]:
        """Return where the model comes from, as far as it is known."""
        return {key: self.fields.get(key) for key in _PROVENANCE}


def read_model(folder: Path) -> ServedModel:
    """Return what is served from a folder; every file is read and compared with the record.

    Raises:
        NoModelFolderError: when there is none. FormatTooNewError. WrongFileError: for a file that differs.
        IntegrityError: when the record is damaged.
    """
    if not folder.is_dir():
        raise NoModelFolderError(f"{folder} is no folder", hint="dsvc model get NAME DIR writes one")
    path = folder / RECORD
    if not path.exists():
        files = tuple(sorted(_plain_files(folder)))
        if not files:
            raise NoModelFolderError(f"{folder} has no files", hint="dsvc model get NAME DIR writes some")
        return ServedModel(folder, files)
    fields = _read_record(path)
    files = tuple(_checked(folder, file) for file in fields["files"])
    if not files:
        raise NoModelFolderError(f"the model in {folder} has no files")
    return ServedModel(folder, files, fields)


def _plain_files(folder: Path) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in names]
    return found


def _read_record(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA or not isinstance(fields.get("files"), list):
        raise IntegrityError(f"{path} is not the record of a model")
    version = fields.get("schema_version")
    if not isinstance(version, int) or version > VERSION:
        raise FormatTooNewError(f"{path} has the version {version}; this dsvc knows {VERSION}", hint="update dsvc")
    return fields


def _checked(folder: Path, file: object) -> str:
    """Compare a file with what the record says of it, and return its path."""
    from blake3 import blake3

    match file:
        case {"path": str(name), "size": int(size), "blake3": str(digest)}:
            pass
        case _:
            raise IntegrityError(f"{folder / RECORD} has a file without path, size and hash")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise IntegrityError(f"{folder / RECORD} names the file {name!r}, which is not in the folder")
    hasher = blake3()
    try:
        with (folder / place).open("rb") as stream:
            while piece := stream.read(_PIECE):
                hasher.update(piece)
            length = stream.tell()
    except OSError as error:
        raise WrongFileError(f"{name} of the model cannot be read: {error.strerror}") from error
    if length != size or hasher.hexdigest() != digest:
        raise WrongFileError(
            f"{name} of the model is not what its record says: its BLAKE3 is {hasher.hexdigest()}, not {digest}",
            hint="write the folder again: dsvc build, or dsvc model get",
        )
    return name
