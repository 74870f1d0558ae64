"""The `dsvc reset` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.reset import ResetMode, ResetResult, reset
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError
from dsvc.refs.names import short_name

SHORT = 10


def command(
    context: Context,
    words: Annotated[Sequence[str], typer.Argument(metavar="[REV]", help="The commit to move to; HEAD if none.")] = (),
    *,
    soft: Annotated[bool, typer.Option("--soft", help="Move the branch only.")] = False,
    mixed: Annotated[bool, typer.Option("--mixed", help="The same, and end a merge under way (the default).")] = False,
    hard: Annotated[bool, typer.Option("--hard", help="Overwrite files too ('dsvc undo' brings them back).")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Move files too, unless changed ones are in the way.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Move the branch to another commit.

    Files stay as they are unless --hard or --keep is given, so what the branch no longer has shows as changes.
    """
    modes: list[ResetMode] = [
        mode for mode, given in _flags(soft=soft, mixed=mixed, hard=hard, keep=keep) if given
    ]
    if len(modes) > 1:
        raise UsageError(f"--{modes[0]} and --{modes[1]} exclude each other")
    before, after = context.split_dashes(words)
    workspace = context.workspace()
    if after is not None or len(before) > 1 or (before and _is_path(context, before[0])):
        revision = before[0] if before and not _is_path(context, before[0]) else None
        paths = [*before[revision is not None :], *(after or ())] or ["PATH"]
        source = f"--source {revision} " if revision not in (None, "HEAD") else ""
        hint = f"dsvc restore {source}{' '.join(paths[:3])}"
        raise UsageError("reset takes no paths: there is no staging area", hint=hint)
    result = reset(workspace, before[0] if before else "HEAD", mode=modes[0] if modes else "mixed")
    if json:
        context.out.json("dsvc.reset", _payload(result))
        return
    subject = workspace.repo.commit(result.commit_id).message.partition("\n")[0]
    where = short_name(result.branch) if result.branch else "HEAD"
    context.out.note(f"{where} is now at {result.commit_id.hex()[:SHORT]} {subject}")
    if result.ended is not None:
        context.out.note(f"The {result.ended} under way was ended")


def _flags(*, soft: bool, mixed: bool, hard: bool, keep: bool) -> tuple[tuple[ResetMode, bool], ...]:
    return (("soft", soft), ("mixed", mixed), ("hard", hard), ("keep", keep))


def _is_path(context: Context, word: str) -> bool:
    """Say whether a word is a file's name and no revision."""
    from dsvc.actions.revision import commit_of
    from dsvc.history.revisions import UnknownRevisionError

    try:
        commit_of(context.workspace(), word)
    except UnknownRevisionError:
        return (context.directory / word).exists() or (context.directory / word).is_symlink()
    return False


def _payload(result: ResetResult) -> dict[str, object]:
    return {
        "branch": short_name(result.branch) if result.branch else None,
        "mode": result.mode,
        "old_commit": result.old_commit.hex() if result.old_commit else None,
        "commit": result.commit_id.hex(),
        "ended": result.ended,
    }
