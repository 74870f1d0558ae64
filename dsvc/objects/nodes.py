"""Nodes of sorted maps that were read, for those who read them again: walks of one tree after the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from dsvc.objects.ids import Kind, ObjectId
from dsvc.objects.sortedmap import MapKind, Node, decode_again, decode_node

_KEPT = 512  # decoded nodes
_CHECKED = 65_536  # ids of nodes that were checked, 100 bytes each


class Nodes:
    """Decodes what `read` returns, and keeps the last nodes; what was checked once is not checked again."""

    def __init__(self, read: Callable[[bytes, Kind], bytes]) -> None:
        self._read = read
        self._kept: OrderedDict[bytes, Node] = OrderedDict()
        self._checked: set[bytes] = set()

    def get(self, map_kind: MapKind, node_id: ObjectId) -> Node:
        """Return a decoded node; raises what `read` and `decode_node` raise."""
        node = self._kept.get(node_id)
        if node is None:
            payload = self._read(node_id, map_kind.kind)
            if node_id in self._checked:  # its bytes matched the id again, so they are the same
                node = decode_again(payload)
            else:
                node = decode_node(map_kind, payload)
                if len(self._checked) < _CHECKED:
                    self._checked.add(node_id)
            self._kept[node_id] = node
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return node
