"""What was refused or deleted, one line each; what was done stands in the operation log of its repository."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from heapq import merge
from pathlib import Path
from typing import Any

from dsvc.errors import DsvcError, NotARepositoryError
from dsvc.hub.folder import Hub
from dsvc.hub.located import locate, opened
from dsvc.hub.names import repository_names
from dsvc.objects.ids import OperationId
from dsvc.objects.values import Operation
from dsvc.refs.log import OperationLog

OPERATIONS = ".operations"  # in a repository's attic
_TEXT = 1000
BOUND = 64 << 20  # bytes of the file of refusals; then it begins again, and the full one is kept once


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did or wanted what, when (microseconds, minutes east of UTC).

    `what` is `push`, `init` or another verb of an operation, `refused` or `delete`; `text` the description or reason.
    `operation` is the id of what was done, as hex.
    """

    time: int
    zone: int
    account: str
    key: str
    repository: str
    what: str
    text: str
    operation: str | None = None


def note(hub: Hub, entry: Entry) -> None:
    """Append a line; a disk that refuses it changes nothing for the account."""
    row = {name: value[:_TEXT] if isinstance(value, str) else value for name, value in asdict(entry).items()}
    line = json.dumps(row).encode() + b"\n"
    with contextlib.suppress(OSError):
        if hub.refusals.exists() and hub.refusals.stat().st_size > BOUND:
            os.replace(hub.refusals, hub.refusals.with_name("refused.1"))
        fd = os.open(hub.refusals, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def audit(hub: Hub, repository: str | None = None) -> Iterator[Entry]:
    """Yield what happened, newest first, in one repository or in all; gc cuts operations of more than 30 days off."""
    names = [repository] if repository is not None else list(repository_names(hub.repos))
    logs = [_once(merge(_done(hub, name), _kept(hub, name), key=lambda entry: -entry.time)) for name in names]
    refused = sorted(_refused(hub, repository), key=lambda entry: -entry.time)
    return merge(*logs, refused, key=lambda entry: -entry.time)


def keep_operations(hub: Hub, repository: str, operations: Sequence[tuple[OperationId, Operation]]) -> None:
    """Write down what operations say, newest first, before the log is cut behind the newest one."""
    rows = [asdict(_entry(repository, i.hex(), operation)) for i, operation in reversed(operations)]
    path = hub.attic(repository) / OPERATIONS
    known = {entry.operation for entry in _entries(path)}
    with open(path, "ab") as file:
        if file.tell():
            file.write(b"\n")  # the last line may be that of a process that was killed
        file.writelines(json.dumps(row).encode() + b"\n" for row in rows if row["operation"] not in known)
        file.flush()
        os.fsync(file.fileno())


def _kept(hub: Hub, name: str) -> Iterator[Entry]:
    return iter(sorted(_entries(hub.attic(name) / OPERATIONS), key=lambda entry: -entry.time))


def _once(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: set[str | None] = set()
    for entry in entries:
        if entry.operation is None or entry.operation not in seen:
            seen.add(entry.operation)
            yield entry


def _done(hub: Hub, name: str) -> Iterator[Entry]:
    try:
        with opened(locate(hub.repos, name)) as repo:
            for operation_id, operation in OperationLog(repo.store).walk(repo.head.operation):
                yield _entry(name, operation_id.hex(), operation)
    except NotARepositoryError:
        return  # deleted, or not finished
    except DsvcError as error:
        yield Entry(0, 0, "", "", name, "damaged", error.message)


def _entry(name: str, operation_id: str, operation: Operation) -> Entry:
    account, key = (str(operation.metadata.get(field, "")) for field in ("account", "key"))
    who = account or operation.user
    return Entry(operation.time, operation.zone, who, key, name, operation.verb, operation.description, operation_id)


def _refused(hub: Hub, repository: str | None) -> Iterator[Entry]:
    for path in (hub.refusals.with_name("refused.1"), hub.refusals):
        for entry in _entries(path):
            if repository is None or entry.repository == repository:
                yield entry


def _entries(path: Path) -> Iterator[Entry]:
    """Yield the lines of a file."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # the line of a process that was killed
            fields: dict[str, Any] = json.loads(line)
            yield Entry(**fields)
