"""How long work reports how far it is, without knowing who watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives counts while work goes on; called often, so it must be cheap."""

    def start(
        self, label: str, *, total_bytes: int | None = None, total_items: int | None = None, unit: str = "files"
    ) -> None:
        """Begin a phase named `label`, of a known size or not; `unit` says in the plural what the items are."""

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

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
