"""How long work reports how far it is, without knowing who watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Receives counts while work goes on; called often, so it must be cheap."""

    def start(
        self, label: str, *, total_bytes: int | None = None, total_items: int | None = None, unit: str = "files"
    ) -> None:
        """Begin a phase named `label`, of a known size or not; `unit` says in the plural what the items are."""

    def expect(self, count: Callable[[], tuple[int, int]]) -> None:
        """Give what counts more items and bytes of the phase; it may be called in another thread, later, or never."""

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """Say that `items` more files or objects and `size` more bytes are done."""

    def finish(self) -> None:
        """End the phase."""


class Silent:
    """The progress of those who do not watch."""

    __slots__ = ()

    def start(
        self, label: str, *, total_bytes: int | None = None, total_items: int | None = None, unit: str = "files"
    ) -> None:
        """Do nothing."""

    def expect(self, count: Callable[[], tuple[int, int]]) -> None:
        """Do nothing."""

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
