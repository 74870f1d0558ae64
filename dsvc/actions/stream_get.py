"""Receive snapshots of datasets from a remote into ZFS, and mount them where the working copy has them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dsvc.actions.pool_peer import open_peer
from dsvc.actions.remote_access import OpenRemote, choose_remote, open_remote
from dsvc.actions.stream_push import stream_ref
from dsvc.errors import RequestError
from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.snapshot import Stream, decode_stream
from dsvc.objects.tree import Entry, EntryKind
from dsvc.refs.names import HEADS, REMOTES
from dsvc.refs.view import Direct
from dsvc.remotes.settings import RemoteSettings
from dsvc.storage.snapshots import Kept
from dsvc.workspace import Workspace
from dsvc.worktree.datasets import Place
from dsvc.worktree.delegation import Delegation


class StreamAbsentError(RequestError):
    """A remote has no stream of a snapshot."""


class NoParentError(RequestError):
    """Nothing says in which pool a received dataset is to be made."""


@dataclass(frozen=True, slots=True)
class SnapshotsGot:
    """The snapshots that were received (path, guid), their bytes, and the folders that are served now and were not."""

    received: tuple[tuple[bytes, str], ...] = ()
    size: int = 0
    mounted: tuple[bytes, ...] = ()


def get_snapshots(
    workspace: Workspace, paths: Sequence[bytes] = (), *, remote: RemoteSettings | None = None, mount: bool = True
) -> SnapshotsGot:
    """Receive the snapshots that branches here or on remotes have at these paths (all, where none are given).

    With `mount`, folders of the current commit that are not served yet are mounted then. What was received stays when
    a later one fails; a stream that breaks off leaves nothing. Safe to call again.

    Raises:
        NoParentError: when the configuration names no dataset to receive into. StreamAbsentError: when the remote has
        no stream. BrokenStreamError: when one is damaged. RemoteError.
    """
    wanted = list(_wanted(workspace, paths))
    if not wanted:
        return SnapshotsGot()
    datasets = workspace.datasets(begin=True)
    assert datasets is not None
    able = _begin(workspace, datasets, {path for path, _ in wanted}, asked=set(paths))
    wanted = [(path, entry) for path, entry in wanted if path in able]
    lacking = [(path, entry) for path, entry in wanted if not datasets.is_here(path, entry)]
    datasets.keep(datasets.snapshot(entry).guid for path, entry in wanted if (path, entry) not in lacking)
    got = SnapshotsGot()
    if lacking:
        with open_remote(workspace, remote or choose_remote(workspace, None)) as place:
            got = _Receiving(workspace, place, datasets).run(lacking)
    mounted = []
    for path, entry in _present(workspace, paths) if mount else ():
        if path in able and not datasets.places[path].active and datasets.is_here(path, entry):
            datasets.bring(path, entry)
            mounted.append(path)
    return replace(got, mounted=tuple(mounted))


def _wanted(workspace: Workspace, paths: Sequence[bytes]) -> Iterator[tuple[bytes, Entry]]:
    """Yield the snapshot references of HEAD and of the tips of branches, each once."""
    seen: set[tuple[bytes, bytes]] = set()
    view = workspace.view()
    tips = [workspace.head_tree()]
    for prefix in (HEADS, REMOTES):
        for _, ref in view.items(prefix):
            if isinstance(ref, Direct) and ref.kind == Kind.COMMIT and workspace.repo.store.has(ref.id, Kind.COMMIT):
                tips.append(workspace.tree_of(ref.id))  # type: ignore[arg-type]
    for tree in dict.fromkeys(tips):
        for path, entry in _references(workspace, tree, paths):
            if (path, entry.id) not in seen:
                seen.add((path, entry.id))
                yield path, entry


def _present(workspace: Workspace, paths: Sequence[bytes]) -> list[tuple[bytes, Entry]]:
    return list(_references(workspace, workspace.head_tree(), paths))


def _references(workspace: Workspace, tree: bytes, paths: Sequence[bytes]) -> Iterator[tuple[bytes, Entry]]:
    store = workspace.repo.store
    for path in paths or (b"",):
        entry = trees.lookup(store, tree, path)
        if entry is None:
            continue
        if entry.kind == EntryKind.SNAPSHOT:
            yield path, entry
        elif entry.kind == EntryKind.TREE:
            prefix = path + b"/" if path else b""
            yield from ((p, e) for p, e in trees.walk(store, entry.id, prefix) if e.kind == EntryKind.SNAPSHOT)


def _begin(workspace: Workspace, datasets: Delegation, paths: set[bytes], *, asked: set[bytes]) -> set[bytes]:
    """Note for folders that nothing serves yet where their datasets are to be made; return those that can be served.

    Those that are checked out as plain files are none of them.
    """
    parent = workspace.config.get_str("zfs.parent")
    able: set[bytes] = set()
    for path in sorted(paths):
        place = datasets.places.get(path)
        if place is not None and place.files:
            continue
        if place is None or not place.known():
            if parent is None:
                if path in asked:
                    raise NoParentError(
                        f"nothing says in which pool the dataset of {os.fsdecode(path)} is to be made",
                        hint="'dsvc config zfs.parent POOL/DATASET' says it, then the same again; without ZFS: "
                        f"dsvc data get --files {os.fsdecode(path)}",
                    )
                continue
            datasets.set_place(path, Place("", "", near=(parent,), active=False))
        able.add(path)
    return able


class _Receiving:
    """Receives snapshots from one remote."""

    def __init__(self, workspace: Workspace, remote: OpenRemote, datasets: Delegation) -> None:
        self._workspace = workspace
        self._remote = remote
        self._datasets = datasets
        self._view = remote.view()
        self._peer = open_peer(workspace, remote.settings, datasets)
        self._received: list[tuple[bytes, str]] = []
        self._size = 0

    def run(self, lacking: Sequence[tuple[bytes, Entry]]) -> SnapshotsGot:
        self._datasets.keep_off_gc(exclusive=False)
        for path, entry in lacking:
            guid = self._datasets.snapshot(entry).guid
            if self._peer is not None and self._peer.find([guid]):
                came = self._peer.get(path, guid, self._stem(path))
                self._received += [(path, got) for got, _ in came]
                self._size += sum(size for _, size in came)
                continue
            for stream in self._chain(path, guid):
                self._receive(path, stream)
        return SnapshotsGot(tuple(self._received), self._size)

    def _chain(self, path: bytes, guid: str) -> list[Stream]:
        """Return the streams that lead to a snapshot from one that is here, or from nothing, in their order."""
        chain: list[Stream] = []
        while guid and self._datasets.find(path, guid) is None:
            ref = self._view.get(stream_ref(guid))
            if not isinstance(ref, Direct) or len(chain) > len(list(self._view.items("streams/"))):
                shown = os.fsdecode(path)
                raise StreamAbsentError(
                    f"{self._remote.settings.shown} has no stream of the snapshot {guid} of {shown}",
                    hint="push once more from the machine whose pool has that snapshot",
                    details={"path": shown, "guid": guid},
                )
            stream = decode_stream(self._remote.repo.store.get(ref.id, Kind.STREAM))
            chain.append(stream)
            guid = stream.base
        return chain[::-1]

    def _receive(self, path: bytes, stream: Stream) -> None:
        datasets, provider = self._datasets, self._datasets.provider
        base = datasets.find(path, stream.base) if stream.base else None
        progress = self._workspace.progress
        progress.start(f"Receiving {os.fsdecode(path)}", total_bytes=stream.size)
        try:
            kept = provider.receive(self._name(path, base), self._pieces(stream), stream.guid, base, datasets.mark)
        finally:
            progress.finish()
        datasets.adopt(path, kept)
        self._received.append((path, stream.guid))
        self._size += stream.size

    def _pieces(self, stream: Stream) -> Iterator[bytes]:
        for piece in self._remote.repo.store.file_chunks(stream.content):
            self._workspace.progress.advance(size=len(piece))
            yield piece

    def _name(self, path: bytes, base: Kept | None) -> str:
        """Return a name for a new dataset: beside those that are there, or below `zfs.parent`."""
        if base is not None:
            return self._datasets.clone_name(base.dataset)
        return f"{self._stem(path)}-{secrets.token_hex(3)}"

    def _stem(self, path: bytes) -> str:
        parent = self._workspace.config.get_str("zfs.parent")
        place = self._datasets.places[path]
        if parent is None:
            parent = place.known()[0].rpartition("/")[0] or place.known()[0]
        name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in os.fsdecode(path))
        return f"{parent}/{self._workspace.root.name}-{name.strip('.')}"
