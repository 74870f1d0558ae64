"""What both a transaction and the far end of a connection say when somebody else was faster."""

from __future__ import annotations

from dsvc.errors import BusyError
from dsvc.refs.names import WORKTREES, short_name


class RefMovedError(BusyError):
    """Another process moved a ref that this one was about to move."""

    def __init__(self, name: str, *, hint: str = "look at it with 'dsvc log', then run the same command again") -> None:
        what = "this working copy" if name.startswith(WORKTREES) else short_name(name)
        super().__init__(
            f"{what} was changed by another process at the same time; nothing of yours was lost",
            hint=hint,
            details={"ref": name},
        )
        self.name = name
