"""What a fetch or a push does with one ref."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dsvc.refs.view import Direct

Outcome = Literal["new", "moved", "forced", "deleted", "same", "rejected"]


class RefUpdate(NamedTuple):
    """What became of one ref: its full name there and here, and the objects it pointed and points to.

    `reason` says why one was rejected, `hint` what to do then.
    """

    theirs: str
    ours: str | None
    old: Direct | None
    new: Direct | None
    outcome: Outcome
    reason: str = ""
    hint: str | None = None
