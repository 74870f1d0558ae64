"""A mapping that remembers what was used lately, in bounded memory."""

from __future__ import annotations

from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


class Recent(Generic[Key, Item]):
    """At most two generations of `limit` weight each: when the young one is full it becomes the old one.

    What is asked for moves to the young generation, so the least lately used items are forgotten, without the cost
    of keeping them in order.
    """

    __slots__ = ("_limit", "_old", "_weight", "_young")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[Key, Item] = {}
        self._old: dict[Key, Item] = {}
        self._weight = 0

    def get(self, key: Key) -> Item | None:
        """Return the item of `key`, or None when it was never set or is forgotten."""
        item = self._young.get(key)
        if item is None and self._old:
            item = self._old.get(key)
            if item is not None:
                self.set(key, item)
        return item

    def set(self, key: Key, item: Item, *, weight: int = 1) -> None:
        """Remember an item."""
        self._young[key] = item
        self._weight += weight
        if self._weight >= self._limit:
            self._old, self._young, self._weight = self._young, {}, 0
