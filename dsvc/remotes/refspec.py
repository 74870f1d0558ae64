"""Which refs go where: `[+]SOURCE[:TARGET]`, with one `*` on each side for all that fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dsvc.errors import UsageError
from dsvc.refs.names import HEADS, SHARED, TAGS, check_name


class BadRefspecError(UsageError):
    """A refspec that is not of its form."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} is no refspec: {reason}", hint="as in main, main:other, :gone or tags/v1")


class Refspec(NamedTuple):
    """Full names or patterns; an empty source deletes the target. `force` lets a ref move anywhere."""

    source: str
    target: str
    force: bool = False

    def __str__(self) -> str:
        """As it is written."""
        return f"{'+' if self.force else ''}{self.source}:{self.target}"

    def maps(self, name: str) -> str | None:
        """Return the target of a ref's full name, None where the refspec does not speak of it."""
        if "*" not in self.source:
            return self.target if name == self.source else None
        before, _, after = self.source.partition("*")
        if len(name) < len(before) + len(after) or not (name.startswith(before) and name.endswith(after)):
            return None
        return self.target.replace("*", name[len(before) : len(name) - len(after)], 1)


def parse_refspec(text: str) -> Refspec:
    """Return what a refspec of the configuration or of a command line says; short names are branches.

    Raises:
        BadRefspecError: when it is not of its form. BadRefNameError: for a name that no ref may have.
    """
    force, body = text.startswith("+"), text.removeprefix("+")
    source, colon, target = body.partition(":")
    if not body or (colon and not source and not target):
        raise BadRefspecError(text, "it names no ref")
    if not colon:
        target = source
    if (source.count("*") != target.count("*") and source) or source.count("*") > 1:
        raise BadRefspecError(text, "a * stands once on each side, or on none")
    if not source and "*" in target:
        raise BadRefspecError(text, "what is deleted is named in full")
    return Refspec(_full(source), _full(target or source), force)


def _full(name: str) -> str:
    """Return the full name of a ref; one without a known folder is a branch."""
    name = name.removeprefix("refs/")
    if not name or name == "HEAD":
        return name
    if not name.startswith((*SHARED, "remotes/")):
        name = HEADS + name
    check_name(name.replace("*", "x"))
    return name


def fetch_refspecs(remote: str) -> tuple[Refspec, ...]:
    """Return what a remote's branches become here unless the configuration says otherwise."""
    return (Refspec(f"{HEADS}*", f"remotes/{remote}/*", force=True),)


def mapped(refspecs: Iterable[Refspec], name: str) -> tuple[str, bool] | None:
    """Return (target, force) of a ref by the first refspec that speaks of it."""
    for refspec in refspecs:
        target = refspec.maps(name)
        if target is not None:
            return target, refspec.force
    return None


__all__ = ["HEADS", "TAGS", "BadRefspecError", "Refspec", "fetch_refspecs", "mapped", "parse_refspec"]
