"""The `dsvc verify-commit` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.verify import verify_commits
from dsvc.commands.commit_format import ShownCommit
from dsvc.commands.commit_text import commit_lines
from dsvc.commands.context import Context
from dsvc.commands.log_options import chosen_style
from dsvc.commands.options import Json, Quiet
from dsvc.commands.ref_text import SHORT, subject
from dsvc.commands.signature_text import verdict_json, verdict_lines


def command(
    context: Context,
    revisions: Annotated[
        Sequence[str], typer.Argument(metavar="[REV]...", help="Commits, or ranges A..B (HEAD).")
    ] = (),
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the commits too.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Check the signatures of commits.

    A signature is good when it fits the commit and sign.allowedSigners names the key for somebody, valid at the time of
    the commit. Exits with 1 unless all are good. Of commits that were imported from git, git's SSH signature is
    checked, and that the files here are those that were signed.
    """
    found = verify_commits(context.workspace(), revisions or ("HEAD",))
    code = 0 if all(one.verdict.good for one in found) else 1
    if json:
        commits = [{"commit": one.commit_id.hex(), **verdict_json(one.verdict)} for one in found]
        context.out.json("dsvc.verify-commit", {"good": code == 0, "commits": commits})
        return code
    if quiet:
        return code
    style = chosen_style(context, None, short=False)
    with context.paged():
        for one in found:
            if verbose:
                for line in commit_lines(ShownCommit(one.commit_id, one.commit), "medium", style):
                    context.out.line(line)
            else:
                name = context.out.paint(one.commit_id.hex()[:SHORT], "yellow")
                context.out.line(f"{name} {subject(one.commit.message)}")
            for line in verdict_lines(one.verdict, context.out):
                context.out.line(f"  {line}")
    return code
