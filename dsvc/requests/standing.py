"""How far a request is with its approvals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsvc.requests.merge_request import MergeRequest, Recorded

Objection = Callable[[Recorded], str | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """How many approvals are wanted, those that count, and those that do not with the reason."""

    wanted: int
    counted: tuple[Recorded, ...]
    others: tuple[tuple[Recorded, str], ...] = ()

    @property
    def enough(self) -> bool:
        """Whether it has all the approvals that are wanted."""
        return len(self.counted) >= self.wanted


def standing(request: MergeRequest, *, wanted: int, objection: Objection = lambda _: None) -> Standing:
    """Return which approvals of a request count.

    That is the last word of each who approved exactly the commit that is to be merged, and who neither opened the
    request nor brought that commit. `objection` says what else speaks against one, None where nothing does.
    """
    counted, others = [], []
    authors = request.authors()
    for approval in request.approvals():
        reason: str | None
        if approval.said.who in authors:
            reason = "of their own commits"
        elif approval.commit != request.head:
            reason = "of an earlier version"
        else:
            reason = objection(approval.said)
        if reason is None:
            counted.append(approval.said)
        else:
            others.append((approval.said, reason))
    return Standing(wanted, tuple(counted), tuple(others))
