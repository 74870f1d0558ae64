"""Write a version of a model as the folder that is served. See docs/formats/served-model.md."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any, Final

from dsvc.actions.export import write_folder
from dsvc.actions.model import FoundVersion, find_model
from dsvc.actions.model_get import model_files
from dsvc.actions.model_trust import trust_in
from dsvc.actions.runs import UnknownRunError, get_run
from dsvc.errors import RequestError
from dsvc.models.version import ModelVersion
from dsvc.objects.codec import Value
from dsvc.objects.tree import FILE_KINDS, EntryKind
from dsvc.runs.names import RunKey
from dsvc.runs.pins import read_pins
from dsvc.workspace import Workspace

RECORD: Final = "dsvc-model.json"
SCHEMA: Final = "dsvc.served-model"
_DATASETS = 1000  # that the record lists
_OWN = ("profile", "signature")  # facts that stand in the record under their own names


class NotServableError(RequestError):
    """A version whose files cannot stand in a folder that is served."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that was written: the version, the record in it, and the number of files and their bytes."""

    found: FoundVersion
    record: Mapping[str, Any]
    files: int
    size: int


def write_model_folder(workspace: Workspace, text: str, destination: Path, *, force: bool = False) -> ModelFolder:
    """Write the files of a version and their record into a folder that is empty or new.

    The same version gives the same bytes, except for `trusted`, which depends on who is allowed to sign.

    Raises:
        UnknownModelError. NotServableError: when the model has a file of the record's name, or a link.
        What `export` raises for a folder.
    """
    found = find_model(workspace, text)
    record = served_record(workspace, found)
    files, size = write_folder(workspace, model_files(workspace, found), destination, force=force)
    (destination / RECORD).write_bytes(encode_record(record))
    return ModelFolder(found, record, files, size)


def encode_record(record: Mapping[str, Any]) -> bytes:
    """Return a record as it stands in the folder."""
    return (json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def served_record(workspace: Workspace, found: FoundVersion) -> dict[str, Any]:
    """Return what `dsvc-model.json` says of a version.

    Raises:
        NotServableError. SigningProgramError, BadSignersFileError: when a signature cannot be checked.
    """
    version = found.version
    datasets, count = _datasets(workspace, version)
    facts = {name: value for name, value in version.metadata.items() if name not in _OWN}
    return {
        "schema": SCHEMA,
        "schema_version": 1,
        "name": version.name,
        "version": version.version,
        "version_id": found.version_id.hex(),
        "content": version.entry.id.hex(),
        "commit": _hex(version.commit),
        "run": _hex(version.run),
        "run_id": _hex(version.run_id),
        "environment": _hex(version.environment),
        "datasets": datasets,
        "datasets_count": count,
        "framework": version.framework,
        "framework_version": version.framework_version,
        "made": _iso(version),
        "user": version.user,
        "metrics": _plain(version.metrics),
        "params": _plain(version.params),
        "facts": _plain(facts),
        "files": _files(workspace, found),
        "signature": _plain(version.metadata.get("signature")),
        "profile": _plain(version.metadata.get("profile")),
        "trusted": trust_in(workspace, found),
    }


def _files(workspace: Workspace, found: FoundVersion) -> list[dict[str, Any]]:
    listed = []
    for path, entry in model_files(workspace, found):
        if entry.kind == EntryKind.TREE:
            continue
        if entry.kind not in FILE_KINDS or path == RECORD.encode():
            what = "has the name of the record" if path == RECORD.encode() else "is no plain file"
            raise NotServableError(f"{os.fsdecode(path)!r} of {found.version.name} {what}", hint="dsvc model show")
        listed.append({"path": os.fsdecode(path), "size": entry.size, "blake3": entry.id.hex()})
    return sorted(listed, key=lambda file: str(file["path"]))


def _datasets(workspace: Workspace, version: ModelVersion) -> tuple[list[dict[str, Any]], int]:
    """Return what the run read, as far as its record is here."""
    if version.run is None:
        return [], 0
    try:
        run, _ = get_run(workspace, RunKey(version.run))
    except UnknownRunError:
        return [], 0
    pins = islice(read_pins(workspace.repo.store, run.inputs), _DATASETS)
    return [{"path": os.fsdecode(pin.path), "id": _hex(pin.id)} for pin in pins], run.inputs.count


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _iso(version: ModelVersion) -> str:
    zone = timezone(timedelta(minutes=version.zone))
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=version.time)).astimezone(zone).isoformat()


def _plain(value: Value | Mapping[str, Value]) -> Any:
    """Return a stored value as JSON has it; what JSON lacks becomes text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
