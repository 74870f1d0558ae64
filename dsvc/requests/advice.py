"""Rules that a project keeps for places which enforce none: the file `.dsvcrules` of its default branch.

A folder or a bucket takes what anybody writes. There dsvc itself asks these rules before it pushes, as advice: whoever
means it otherwise can say so, and another program knows nothing of them. docs/formats/requests.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from dsvc.errors import RequestError
from dsvc.objects.values import Person
from dsvc.requests.terms import fits

FILE = ".dsvcrules"
MOST_APPROVALS = 100
_ROLES = ("reader", "writer", "owner")  # words of a hub's rules, which everybody fits where there are no accounts
_LISTS = ("refs", "push", "rewind", "approvers")


class BadAdviceError(RequestError):
    """The file of rules is not of its form."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{FILE} of the default branch cannot be read: {reason}",
            hint="mend it there; --no-rules pushes without asking it",
        )


class Advised(NamedTuple):
    """What is asked of some refs. People are named by e-mail address or name; None stands for everybody."""

    refs: tuple[str, ...]
    push: tuple[str, ...] | None = None
    rewind: tuple[str, ...] | None = None
    approvals: int = 0
    approvers: tuple[str, ...] | None = None


class Advice(NamedTuple):
    """All that a project asks; several tables that speak of one ref have all to be kept."""

    protect: tuple[Advised, ...] = ()

    def of(self, ref: str) -> list[Advised]:
        """Return what speaks of a ref (full name)."""
        return [advised for advised in self.protect if fits(ref, advised.refs)]

    def approvals(self, ref: str) -> int:
        """Return how many approvals a ref takes."""
        return max((advised.approvals for advised in self.of(ref)), default=0)

    def may_push(self, ref: str, who: Person) -> bool:
        """Say whether somebody moves a ref at all."""
        return all(names(advised.push, who) for advised in self.of(ref))

    def may_rewind(self, ref: str, who: Person) -> bool:
        """Say whether somebody deletes a ref or gives it another history."""
        return all(names(advised.rewind, who) for advised in self.of(ref))

    def may_approve(self, ref: str, who: Person) -> bool:
        """Say whether somebody's approval counts for a ref."""
        return all(names(advised.approvers, who) for advised in self.of(ref) if advised.approvals)


def names(allowed: tuple[str, ...] | None, who: Person) -> bool:
    """Say whether a list of people names somebody."""
    return allowed is None or any(word in (*_ROLES, who.email, who.name) for word in allowed)


def decode_advice(text: bytes) -> Advice:
    """Return what a file of rules says.

    Raises:
        BadAdviceError: for what is unknown or of another type.
    """
    try:
        given = tomllib.loads(text.decode())
    except ValueError as error:
        raise BadAdviceError(str(error)) from error
    rows = given.get("protect", [])
    if set(given) - {"protect"} or not isinstance(rows, list):
        raise BadAdviceError("it has tables [[protect]] and nothing else")
    return Advice(tuple(map(_advised, rows)))


def _advised(row: Any) -> Advised:
    if not isinstance(row, dict) or "refs" not in row:
        raise BadAdviceError("[[protect]] is a table with 'refs'")
    unknown = sorted(set(row) - {*_LISTS, "approvals"})
    if unknown:
        raise BadAdviceError(f"protect.{unknown[0]} is unknown")
    approvals = row.get("approvals", 0)
    if type(approvals) is not int or not 0 <= approvals <= MOST_APPROVALS:
        raise BadAdviceError(f"protect.approvals is a number up to {MOST_APPROVALS}")
    refs = _words(row, "refs") or ()
    return Advised(refs, _words(row, "push"), _words(row, "rewind"), approvals, _words(row, "approvers"))


def _words(row: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise BadAdviceError(f"protect.{name} is a list of words")
    return tuple(value)
