"""What a hub tells an account of itself: who it is there, and what is asked of a merge. docs/formats/requests.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from dsvc.errors import IntegrityError
from dsvc.refs.names import HEADS, SHARED

CELL = "terms"
VERSION = 1


class Ask(NamedTuple):
    """What is asked of a merge into refs that one of the patterns fits: so many approvals, each signed where so."""

    refs: tuple[str, ...]
    approvals: int
    signed: bool = False

    def covers(self, ref: str) -> bool:
        """Say whether it speaks of a ref (full name)."""
        return fits(ref, self.refs)


class Terms(NamedTuple):
    """The account that asked, its role, whether it may open requests and comment, and what is asked of merges."""

    account: str
    role: str
    requests: bool
    asks: tuple[Ask, ...] = ()

    def approvals(self, ref: str) -> int:
        """Return how many approvals a merge into a ref takes."""
        return max((ask.approvals for ask in self.asks if ask.covers(ref)), default=0)

    def signed(self, ref: str) -> bool:
        """Say whether approvals of a merge into a ref have to be signed."""
        return any(ask.signed for ask in self.asks if ask.covers(ref))


def fits(ref: str, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns fits a ref's full name; a pattern without a folder of refs is a branch's."""
    return any(fnmatchcase(ref, p if p.startswith(SHARED) else HEADS + p) for p in patterns)


def encode_terms(terms: Terms) -> bytes:
    """Return the value of the cell in which a hub tells its terms."""
    value = {"dsvc terms": VERSION, **terms._asdict(), "asks": [ask._asdict() for ask in terms.asks]}
    return json.dumps(value).encode() + b"\n"


def decode_terms(value: bytes) -> Terms:
    """Return what a hub told; fields of a later hub are left alone.

    Raises:
        IntegrityError: when it is not of its form.
    """
    try:
        given: dict[str, Any] = json.loads(value)
        asks = tuple(
            Ask(tuple(map(str, row["refs"])), int(row["approvals"]), bool(row["signed"])) for row in given["asks"]
        )
        return Terms(str(given["account"]), str(given["role"]), bool(given["requests"]), asks)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError("the hub tells its terms in a form that cannot be read") from error
