"""Command lines that are understood without the parser, whose import takes as long as all the rest of them.

They are those that prompts and editors ask for all the time. Every other form of the same commands goes through the
parser, and tests/commands/test_short_way.py holds both against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from dsvc.commands.context import Context
from dsvc.version import __version__

_STATUS: Final = {
    "-s": "short",
    "--short": "short",
    "-b": "branch",
    "--branch": "branch",
    "--porcelain": "porcelain",
    "-z": "zero",
    "--json": "json",
}


def short_way(arguments: Sequence[str], environment: Mapping[str, str]) -> Callable[[Context], None] | None:
    """What does `dsvc ARGUMENTS` without the parser, or None where only the parser knows."""
    if "_DSVC_COMPLETE" in environment or not arguments:
        return None
    first, *rest = arguments
    if first in ("--version", "-V") and not rest:
        return _version
    if first == "status" and set(rest) <= _STATUS.keys():
        flags = {_STATUS[word] for word in rest}
        return lambda context: _status(context, flags)
    return None


def _version(context: Context) -> None:
    context.out.line(f"dsvc {__version__}")


def _status(context: Context, flags: set[str]) -> None:
    from dsvc.commands.status_output import Form, show_status

    context.out.as_json = "json" in flags
    form = Form(
        short="short" in flags,
        branch="branch" in flags,
        porcelain="porcelain" in flags,
        zero="zero" in flags,
        json="json" in flags,
    )
    show_status(context, (), form)
