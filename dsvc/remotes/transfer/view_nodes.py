"""Bring near the nodes of a remote's view that this side has not, level by level and several at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from dsvc.objects.ids import Kind, ObjectId
from dsvc.objects.mapdiff import behind
from dsvc.objects.packref import PackRef
from dsvc.objects.sortedmap import Node
from dsvc.objects.store import ObjectStore
from dsvc.refs.view import VIEWS, View


def bring_view_nodes(remote: ObjectStore, view: View, prefix: str, *, jobs: int) -> None:
    """Let later reads of the refs below `prefix` be fast: what differs from the store at hand is asked for at once.

    What cannot be had is left to whoever reads it.
    """
    if remote.near is None:
        return
    start, end = prefix.encode(), behind(prefix.encode())
    wanted: list[ObjectId] = [view.id]
    with ThreadPoolExecutor(jobs, thread_name_prefix="dsvc-view") as pool:
        while wanted:
            frames = list(_frames(remote, wanted))
            if len(frames) > 1:
                list(pool.map(lambda frame: remote.packs.frame_bytes(*frame), frames))
            nodes = (remote.node(VIEWS, node_id) for node_id in wanted)
            children = [ObjectId(child) for node in nodes for child in _inside(node, start, end)]
            wanted = [child for child in children if not remote.near.has(child, Kind.VIEW)]


def _frames(remote: ObjectStore, wanted: Iterable[ObjectId]) -> Iterable[tuple[PackRef, int]]:
    found = (remote.packs.find(node_id, Kind.VIEW) for node_id in wanted)
    return dict.fromkeys((ref, place.frame) for ref, place in filter(None, found))


def _inside(node: Node, start: bytes, end: bytes | None) -> Iterable[bytes]:
    """Yield the children of a node that may hold keys from `start` to before `end`."""
    before = b""
    for key, child in node.items if node.level else ():
        if key >= start and (end is None or before < end):
            yield child.id
        before = key
