"""Send the snapshots of datasets along with a push: each as what it adds to one that the remote has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dsvc.actions.pool_peer import PoolPeer, open_peer
from dsvc.actions.remote_access import OpenRemote
from dsvc.history.datasets import Lineage, stored_snapshots
from dsvc.objects.ids import Kind, ObjectId
from dsvc.objects.snapshot import Snapshot, Stream, encode_stream
from dsvc.refs.names import STREAMS
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.storage.snapshots import Kept
from dsvc.workspace import Workspace
from dsvc.worktree.delegation import Delegation


def stream_ref(guid: str) -> str:
    """Return the ref on a remote of the stream that makes a snapshot."""
    return f"{STREAMS}{guid}"


@dataclass(slots=True)
class StreamPush:
    """Streams of the snapshots that a remote's commits name and that it has no stream of, as far as they are here.

    Called with the transaction that publishes there; safe to call again. `sent` counts bytes of streams by guid.
    """

    workspace: Workspace
    remote: OpenRemote
    datasets: Delegation
    peer: PoolPeer | None = None
    sent: dict[str, int] = field(default_factory=dict)
    _made: dict[str, ObjectId] = field(default_factory=dict)

    def add(self, transaction: Transaction) -> None:
        """Store the streams there, and let the transaction name them; or receive them in the remote's own pool.

        Raises:
            BrokenStreamError: when a stream ends early; nothing names what was stored of it.
        """
        store = self.remote.repo.store
        view = transaction.view
        lacking = [
            snapshot
            for object_id, snapshot in stored_snapshots(self.workspace.repo.store)
            if view.get(stream_ref(snapshot.guid)) is None and store.has(object_id, Kind.SNAPSHOT)
        ]
        if not lacking:
            return
        lineage = Lineage(self.workspace.repo.store)
        here = self._here(lacking, lineage)
        lacking = [snapshot for snapshot in {s.guid: s for s in lacking}.values() if snapshot.guid in here]
        lacking.sort(key=lambda snapshot: len(list(lineage.back(snapshot.guid))))
        if self.peer is not None:
            for snapshot in lacking:
                if not self.peer.find([snapshot.guid]):
                    before = list(lineage.back(snapshot.guid))
                    self.sent[snapshot.guid] = self.peer.push(here[snapshot.guid], before, dict(here))
            return
        for snapshot in lacking:
            if snapshot.guid not in self._made or not store.has(self._made[snapshot.guid], Kind.STREAM):
                known = {
                    guid
                    for guid in lineage.back(snapshot.guid)
                    if guid in self._made or view.get(stream_ref(guid)) is not None
                }
                base = next((here[g] for g in lineage.back(snapshot.guid) if g in known and g in here), None)
                self._made[snapshot.guid] = self._store(snapshot, here[snapshot.guid], base)
            transaction.set(stream_ref(snapshot.guid), Direct(Kind.STREAM, self._made[snapshot.guid]))

    def _here(self, lacking: list[Snapshot], lineage: Lineage) -> Mapping[str, Kept]:
        guids = {guid for s in lacking for guid in (s.guid, *lineage.back(s.guid))}
        near = list(dict.fromkeys(name for place in self.datasets.places.values() for name in place.known()))
        return self.datasets.provider.find(guids, near)

    def _store(self, snapshot: Snapshot, kept: Kept, base: Kept | None) -> ObjectId:
        provider, store = self.datasets.provider, self.remote.repo.store
        if base is not None and not self.datasets.descends(kept.dataset, base):
            base = None
        progress = self.workspace.progress
        progress.start(f"Sending {os.path.basename(kept.name)}")
        try:
            with provider.send(kept.name, base.name if base is not None else None) as read:

                def counted(size: int) -> bytes:
                    data = read(size)
                    progress.advance(size=len(data))
                    return data

                content, size = store.put_stream(counted)
        except BaseException:
            store.abandon()
            raise
        finally:
            progress.finish()
        self.sent[snapshot.guid] = size
        record = Stream(snapshot.provider, snapshot.guid, content, size, base.guid if base is not None else "")
        return store.put(Kind.STREAM, encode_stream(record))


def streams_to_push(workspace: Workspace, remote: OpenRemote) -> StreamPush | None:
    """Return what sends snapshots along with a push, None where no dataset serves a folder here."""
    datasets = workspace.datasets()
    if datasets is None:
        return None
    return StreamPush(workspace, remote, datasets, open_peer(workspace, remote.settings, datasets))
