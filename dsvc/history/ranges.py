"""Sets of commits as people write them: `A..B`, `A...B`, `^A`, `A^!`, `A^@`, `A^-`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dsvc.history.mergebase import merge_bases
from dsvc.history.revisions import RevisionContext, UnknownRevisionError, resolve_commit
from dsvc.objects.ids import CommitId

_TOP = re.compile(r"\{[^}]*\}|\.\.\.?")
_PARENTS = re.compile(r"(.*)\^([@!]|-(\d*))", re.DOTALL)


class CommitSet(NamedTuple):
    """The commits that `tips` reach and `hidden` do not. `symmetric` holds A and B of one `A...B`."""

    tips: tuple[CommitId, ...]
    hidden: tuple[CommitId, ...] = ()
    symmetric: tuple[CommitId, CommitId] | None = None


class TwoSided(NamedTuple):
    """The two sides of `left..right` or `left...right`, HEAD where one was left out."""

    left: str
    right: str
    symmetric: bool


def split_range(text: str) -> TwoSided | None:
    """Return the two sides of a range, or None for a single revision."""
    for found in _TOP.finditer(text):
        if found[0][0] == ".":
            left, right = text[: found.start()], text[found.end() :]
            if ":" in left or (not left and not right):
                return None  # dots of a path, or two or three dots alone
            return TwoSided(left or "HEAD", right or "HEAD", len(found[0]) == 3)
    return None


def names_a_set(text: str) -> bool:
    """Say whether a word names several commits or leaves some out, so that `resolve_set` has to read it."""
    return split_range(text) is not None or text.startswith("^") or _PARENTS.fullmatch(text) is not None


def resolve_set(context: RevisionContext, words: Sequence[str], *, default: str = "HEAD") -> CommitSet:
    """Return the set of commits that revisions and ranges make together, as `log` takes them.

    With no word that adds commits, `default` does. Raises what `resolve_commit` raises.
    """
    tips: list[CommitId] = []
    hidden: list[CommitId] = []
    symmetric = None
    for word in words:
        sides = split_range(word)
        if sides is not None:
            left, right = resolve_commit(context, sides.left), resolve_commit(context, sides.right)
            if sides.symmetric:
                symmetric = left, right
                tips += [left, right]
                hidden += merge_bases(context.ancestry(), left, right)
            else:
                tips.append(right)
                hidden.append(left)
        elif word.startswith("^"):
            hidden.append(resolve_commit(context, word[1:]))
        elif found := _PARENTS.fullmatch(word):
            commit_id = resolve_commit(context, found[1])
            parents = context.get_commit(commit_id).parents
            if found[2] == "@":
                tips += parents
                continue
            tips.append(commit_id)
            number = int(found[3]) if found[3] else 1
            if found[2] == "!":
                hidden += parents
            elif not 1 <= number <= len(parents):
                raise UnknownRevisionError(f"{word!r}: the commit has no parent {number}")
            else:
                hidden.append(parents[number - 1])
        else:
            tips.append(resolve_commit(context, word))
    if not words or (not tips and hidden and not any(w.endswith("^@") for w in words)):
        tips.append(resolve_commit(context, default))
    return CommitSet(tuple(dict.fromkeys(tips)), tuple(dict.fromkeys(hidden)), symmetric)
