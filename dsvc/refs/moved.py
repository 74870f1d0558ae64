"""What both a transaction and the far end of a connection say when somebody else was faster."""

from __future__ import annotations

from dsvc.errors import BusyError
from dsvc.refs.names import short_name


class RefMovedError(BusyError):
    """Another process moved a ref that this one was about to move."""

    def __init__(self, name: str, *, hint: str = "look at it with 'dsvc log', then run the same command again") -> None:
        super().__init__(
            f"{short_name(name)} was changed by another process at the same time; nothing of yours was lost",
            hint=hint,
            details={"ref": name},
        )
        self.name = name
