"""Options that several verbs share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from dsvc.errors import UsageError


def _refuse_staging(*, value: bool) -> bool:
    if value:
        raise UsageError(
            "there is no staging area: a commit takes all changes, or those of the paths given",
            hint="leave --cached or --staged out; 'dsvc diff' compares with the last commit",
        )
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print only results, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print more.")]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Show what would be done and do nothing.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
NullEnded = Annotated[bool, typer.Option("-z", help="End names with NUL instead of a line end, and do not quote them.")]
Jobs = Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, max=64, help="Requests at the same time.")]
Remote = Annotated[
    str | None,
    typer.Option("--remote", metavar="[NAME]", help="Work on a remote, NAME or the usual one; an address will do."),
]
LimitRate = Annotated[
    str | None,
    typer.Option("--limit-rate", metavar="RATE", help="Bytes a second each way, such as 2M (remote.NAME.limitRate)."),
]
Runs = Annotated[bool, typer.Option("--runs", help="Runs and models too, where branches are named; compare all runs.")]
NoRuns = Annotated[bool, typer.Option("--no-runs", help="No runs and no models (remote.NAME.runs).")]
NoRules = Annotated[bool, typer.Option("--no-rules", help="Do not ask the project's .dsvcrules, which are advice.")]
MapNames = Annotated[
    bool, typer.Option("--map-names", help="Write names that fall together on this disk under other ones, from now on.")
]
Message = Annotated[
    Sequence[str], typer.Option("-m", "--message", metavar="TEXT", help="The message; each further one is a paragraph.")
]
Paths = Annotated[Sequence[str], typer.Argument(metavar="[PATH]...", help="Only these files and folders.")]
Favor = Annotated[
    Literal["ours", "theirs", "union"] | None,
    typer.Option("-X", "--strategy-option", metavar="SIDE", help="Settle conflicts: ours, theirs or union."),
]
Mainline = Annotated[
    int | None, typer.Option("-m", "--mainline", metavar="N", min=1, help="For a merge: compare with parent N.")
]
GoOn = Annotated[bool, typer.Option("--continue", help="Go on after the conflicts are settled.")]
Skip = Annotated[bool, typer.Option("--skip", help="Leave out the commit in conflict and go on.")]
Abort = Annotated[bool, typer.Option("--abort", help="Go back to before it began.")]
NoStaging = Annotated[bool, typer.Option("--cached", "--staged", hidden=True, callback=_refuse_staging)]


def runs_wanted(*, runs: bool, no_runs: bool) -> bool | None:
    """Return what --runs and --no-runs say together; None where neither was given.

    Raises:
        UsageError: when both were.
    """
    if runs and no_runs:
        raise UsageError("--runs and --no-runs exclude each other")
    return True if runs else False if no_runs else None
