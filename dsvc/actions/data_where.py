"""Say where copies of content lie, ask remotes for it, and note what they said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from dsvc.actions.data_get import entries_at
from dsvc.actions.remote_access import open_remote
from dsvc.errors import RemoteError, RequestError
from dsvc.objects.files import is_complete
from dsvc.objects.reference import reference_of
from dsvc.objects.tree import Entry, EntryKind
from dsvc.refs.log import decode_head
from dsvc.remotes.address import BadAddressError, common_address, parse_address
from dsvc.remotes.settings import RemoteSettings, read_remotes
from dsvc.repo.ledgers import (
    NOWHERE,
    WHERE,
    Copy,
    copies_of,
    ledger_entry,
    where_entry,
    where_key,
    write_ledger,
)
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class KnownCopy:
    """A remote by its name here (None: it is none of ours), and when it was seen to have a file."""

    remote: str | None
    remote_id: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a file's content lies: here, at the address of a reference, and at remotes by the newest answers."""

    path: bytes
    entry: Entry
    here: bool
    address: str | None
    copies: tuple[KnownCopy, ...]


@dataclass(slots=True)
class Answers:
    """What remotes answered: for each, which of the files it has in full; and of the others why they did not answer."""

    has: dict[str, frozenset[bytes]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, file_id: bytes) -> int:
        """Return how many remotes have a file."""
        return sum(file_id in files for files in self.has.values())


def data_where(workspace: Workspace, paths: Sequence[bytes] = ()) -> Iterator[Whereabouts]:
    """Yield where the content of the files and references at or below `paths` lies, by what is noted.

    Raises:
        RequestError: for a path that is not there.
    """
    repo = workspace.repo
    remotes = read_remotes(workspace.config).items()
    names = {each: name for name, settings in remotes for each in _ids_of(settings, directory=workspace.root)}
    for path, entry in entries_at(workspace, workspace.index().tree, paths):
        content: Entry | None = entry
        address = None
        if entry.kind == EntryKind.REFERENCE:
            content = repo.store.elsewhere.here(entry) if repo.store.elsewhere is not None else None
            address = reference_of(entry).address
        copies = copies_of(repo, content.id) if content is not None else []
        known = _newest(KnownCopy(names.get(copy.remote), copy.remote, copy.time) for copy in copies)
        here = content is not None and is_complete(repo.store, content.id)
        yield Whereabouts(path, entry, here, address, known)


def ask_remotes(workspace: Workspace, files: Iterable[bytes]) -> Answers:
    """Ask every remote which of these files it has in full, and note the answers in one operation.

    A remote that cannot be reached is named in the result, and what is noted of it stays.
    """
    wanted = frozenset(files)
    answers = Answers()
    changes: dict[str, Entry | None] = {}
    time = workspace.time()[0] // 1_000_000
    for name, settings in read_remotes(workspace.config).items():
        try:
            has, packs = _ask(workspace, settings, wanted)
        except (RemoteError, RequestError) as error:
            answers.failed[name] = error.message
            continue
        answers.has[name] = has
        ids = _ids_of(settings, directory=workspace.root)
        for file_id in wanted:
            if file_id in has:
                changes[where_key(file_id, ids[0])] = where_entry(Copy(ids[0], packs, time))
                continue
            for remote in ids:
                key = where_key(file_id, remote)
                if ledger_entry(workspace.view(), workspace.repo.store, WHERE, key) is not None:
                    # Kept, so that older answers do not come back.
                    changes[key] = where_entry(Copy(remote, NOWHERE, time))
    if changes:
        _note(workspace, changes)
    return answers


def _ask(workspace: Workspace, settings: RemoteSettings, wanted: frozenset[bytes]) -> tuple[frozenset[bytes], bytes]:
    with open_remote(workspace, settings) as remote:
        has = frozenset(file_id for file_id in wanted if is_complete(remote.repo.store, file_id))
        return has, decode_head(remote.repo.head.value)[1]


def _note(workspace: Workspace, changes: Mapping[str, Entry | None]) -> None:
    transaction = workspace.repo.transaction()
    write_ledger(workspace.repo.store, transaction, WHERE, changes)
    workspace.publish(transaction, workspace.act("data", "note where copies lie"))


def _ids_of(settings: RemoteSettings, *, directory: Path) -> tuple[bytes, ...]:
    """Return the 16 bytes by which records tell a remote from others, and those by which older ones do.

    They are a hash of its address, however that is written; of the text as it stands in older records, and where the
    text is no address. A relative address counts from `directory`.
    """
    written = _id_of(settings.url)
    try:
        return _id_of(common_address(parse_address(settings.url, directory=directory))), written
    except BadAddressError:
        return (written,)


def _id_of(address: str) -> bytes:
    return blake3(address.rstrip("/").encode("utf-8", "surrogateescape")).digest(16)


def _newest(copies: Iterable[KnownCopy]) -> tuple[KnownCopy, ...]:
    """Return one copy for each remote of ours, and every other one."""
    found: dict[str | bytes, KnownCopy] = {}
    for copy in copies:
        key = copy.remote or copy.remote_id
        if key not in found or found[key].time < copy.time:
            found[key] = copy
    return tuple(found.values())


def content_ids(workspace: Workspace, paths: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield the ids of the content at or below `paths` that remotes can be asked for; of references what was fetched.

    Raises:
        RequestError: for a path that is not there.
    """
    store = workspace.repo.store
    for _, entry in entries_at(workspace, workspace.index().tree, paths):
        content: Entry | None = entry
        if entry.kind == EntryKind.REFERENCE:
            content = store.elsewhere.here(entry) if store.elsewhere is not None else None
        if content is not None:
            yield content.id
