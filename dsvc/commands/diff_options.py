"""The options of `diff`, `show` and `log` that say how differences are shown."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import typer

from dsvc.errors import UsageError
from dsvc.history.renames import MINIMUM

Patch = Annotated[bool, typer.Option("-p", "-u", "--patch", help="Show differences line by line.")]
Text = Annotated[
    bool, typer.Option("--text", help="Show lines, also of notebooks, tables and other files that are read by content.")
]
NoPatch = Annotated[bool, typer.Option("-s", "--no-patch", help="Show no differences.")]
Stat = Annotated[bool, typer.Option("--stat", help="Show how many lines changed in each file.")]
NumStat = Annotated[bool, typer.Option("--numstat", help="The same as numbers for programs.")]
ShortStat = Annotated[bool, typer.Option("--shortstat", help="Only the last line of --stat.")]
Summary = Annotated[bool, typer.Option("--summary", help="Tell of new, deleted and renamed files.")]
NameOnly = Annotated[bool, typer.Option("--name-only", help="Show the names of changed files.")]
NameStatus = Annotated[bool, typer.Option("--name-status", help="Show names, and what happened to each.")]
Unified = Annotated[int | None, typer.Option("-U", "--unified", metavar="N", min=0, help="Show N lines of context.")]
IgnoreSpace = Annotated[bool, typer.Option("-w", "--ignore-all-space", help="Let white space not count.")]
FindRenames = Annotated[
    str | None, typer.Option("-M", "--find-renames", metavar="[PERCENT]", help="How alike renamed files must be (50).")
]
NoRenames = Annotated[bool, typer.Option("--no-renames", help="Show renames as a new and a deleted file.")]
DiffFilter = Annotated[
    str | None, typer.Option("--diff-filter", metavar="LETTERS", help="Only these: A, D, M, T, R; small letters: not.")
]
Full = Annotated[bool, typer.Option("--full", help="Compare texts above 8 MiB too.")]


class DiffForm(NamedTuple):
    """Which forms of a difference to show, and how lines are compared. With no form set nothing is shown."""

    patch: bool = False
    stat: bool = False
    numstat: bool = False
    shortstat: bool = False
    summary: bool = False
    name_only: bool = False
    name_status: bool = False
    null_ended: bool = False
    context: int = 3
    ignore_whitespace: bool = False
    full: bool = False
    text: bool = False

    def any(self) -> bool:
        """Whether anything is to be shown."""
        return self.patch or self.any_list()

    def any_list(self) -> bool:
        """Whether anything but the patch is to be shown."""
        return any((self.stat, self.numstat, self.shortstat, self.summary, self.name_only, self.name_status))

    def check(self) -> None:
        """Raise UsageError for forms that exclude each other."""
        if self.name_only and self.name_status:
            raise UsageError("--name-only and --name-status exclude each other")


def rename_minimum(percent: str | None, *, no_renames: bool) -> int | None:
    """How alike renamed files must be, in percent; None for no renames.

    `percent` is written as git takes it: `90%`, `90` or `9` for nine tenths; empty where the option stands alone.
    """
    if no_renames:
        if percent is not None:
            raise UsageError("-M and --no-renames exclude each other")
        return None
    if not percent:
        return MINIMUM
    digits = percent.removesuffix("%")
    if not digits.isdecimal() or (percent.endswith("%") and int(digits) > 100):
        raise UsageError(f"-M {percent!r} is no percentage", hint="such as -M90%")
    return int(digits) if percent.endswith("%") else min(int(float("0." + digits) * 100), 100)
