"""What was refused or deleted, one line each; what was done stands in the operation log of its repository."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from heapq import merge
from typing import Any

from dsvc.errors import DsvcError, NotARepositoryError
from dsvc.hub.folder import Hub
from dsvc.hub.located import locate, opened
from dsvc.hub.names import repository_names
from dsvc.objects.values import Operation
from dsvc.refs.log import OperationLog

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
    """Yield what happened, newest first, in one repository or in all; gc cuts old operations off."""
    names = [repository] if repository is not None else list(repository_names(hub.repos))
    logs = [_done(hub, name) for name in names]
    refused = sorted(_refused(hub, repository), key=lambda entry: -entry.time)
    return merge(*logs, refused, key=lambda entry: -entry.time)


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
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # the line of a process that was killed
                fields: dict[str, Any] = json.loads(line)
                entry = Entry(**fields)
                if repository is None or entry.repository == repository:
                    yield entry
