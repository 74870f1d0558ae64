"""The `dsvc merge` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.commit import CommitResult
from dsvc.actions.merge import FastForward, MergeResult, merge, merge_abort, merge_continue
from dsvc.actions.signing import Sign
from dsvc.commands.change_counts import change_counts, changes_between
from dsvc.commands.conflict_text import conflict_json, show_conflicts
from dsvc.commands.context import Context
from dsvc.commands.options import Favor, Json, MapNames, Message, Quiet
from dsvc.commands.signature_text import (
    GpgSign,
    NoGpgSign,
    NoVerifySignatures,
    VerifySignatures,
    chosen_sign,
    chosen_verify,
)
from dsvc.errors import ConflictError, UsageError
from dsvc.objects.ids import CommitId
from dsvc.workspace import Workspace

SHORT = 10


def command(
    context: Context,
    revisions: Annotated[Sequence[str], typer.Argument(metavar="[BRANCH]", help="What to merge.")] = (),
    *,
    message: Message = (),
    ff_only: Annotated[bool, typer.Option("--ff-only", help="Refuse (12) unless nothing has to be merged.")] = False,
    no_ff: Annotated[bool, typer.Option("--no-ff", help="Make a merge commit in any case.")] = False,
    ff: Annotated[bool, typer.Option("--ff", help="Move the branch where that is enough (the default).")] = False,
    squash: Annotated[bool, typer.Option("--squash", help="Take the changes, not the history; do not commit.")] = False,
    no_commit: Annotated[bool, typer.Option("--no-commit", help="Stop before the commit.")] = False,
    favor: Favor = None,
    unrelated: Annotated[
        bool, typer.Option("--allow-unrelated-histories", help="Also where no commit is common.")
    ] = False,
    no_edit: Annotated[bool, typer.Option("--no-edit", help="Accepted: the message is not edited.")] = False,
    go_on: Annotated[bool, typer.Option("--continue", help="Commit a merge whose conflicts are settled.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Take back a merge that is under way.")] = False,
    stat: Annotated[bool, typer.Option("--stat", help="Show how many lines changed in each file.")] = False,
    no_stat: Annotated[bool, typer.Option("-n", "--no-stat", help="Do not say how many files changed.")] = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Run no hooks.")] = False,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    verify_signatures: VerifySignatures = False,
    no_verify_signatures: NoVerifySignatures = False,
    map_names: MapNames = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Join another line of history into this one.

    Changes that are not committed may stay where the merge does not touch their files. With conflicts (exit code 13)
    the files hold both sides, and all three are kept until they are settled: see 'dsvc resolve'. Then 'dsvc commit' or
    'dsvc merge --continue' makes the merge, and 'dsvc merge --abort' takes it back.
    """
    if sum((ff_only, no_ff, ff)) > 1 or (squash and no_ff):
        raise UsageError("--ff, --ff-only, --no-ff and --squash exclude each other")
    if (go_on or abort) and revisions:
        raise UsageError("--continue and --abort take no branch")
    sign = chosen_sign(context, gpg_sign, no_sign=no_gpg_sign)
    workspace = context.workspace()
    text = "\n\n".join(message) or None
    shown = False if no_stat else stat or None
    if abort:
        _aborted(context, workspace, json=json)
        return None
    if go_on:
        _continued(
            context, workspace, text, run_hooks=not no_verify, sign=sign, json=json, stat=shown
        )
        return None
    if not revisions:
        raise UsageError("merge what?", hint="dsvc branch lists the branches")
    mode: FastForward = "only" if ff_only else "never" if no_ff else "allow"
    result = merge(
        workspace,
        revisions,
        message=text,
        fast_forward=mode,
        squash=squash,
        make_commit=not no_commit,
        favor=favor,
        unrelated=unrelated,
        map_names=map_names,
        run_hooks=not no_verify,
        sign=sign,
        verify=chosen_verify(verify_signatures, no_verify_signatures),
    )
    if json:
        context.out.json("dsvc.merge", merge_json(result))
        return ConflictError.exit_code if result.conflicts else None
    return show_merge(context, result, stat=shown)


def show_merge(context: Context, result: MergeResult, *, stat: bool | None = None) -> int | None:
    """Tell people what a merge came to; return the exit code.

    `stat` shows all changed files, False says nothing of them, None only how many there are.
    """
    code = ConflictError.exit_code if result.conflicts else None
    for note in result.notes:
        context.out.note(f"note: {note}")
    commit = result.commit_id.hex()[:SHORT] if result.commit_id else ""
    match result.kind:
        case "up to date":
            context.out.note("Already up to date")
        case "fast-forward":
            old = result.old_commit.hex()[:SHORT] if result.old_commit else "nothing"
            context.out.note(f"Fast-forward {old}..{commit}")
            _show_changes(context, result.old_commit, result.commit_id, stat=stat)
        case "merged":
            context.out.note(f"Merge made: {commit} {result.message.partition(chr(10))[0]}")
            _show_changes(context, result.old_commit, result.commit_id, stat=stat)
        case "conflicts":
            show_conflicts(context, result.conflicts)
            context.out.warn(
                f"{len(result.conflicts)} path{'s are' if len(result.conflicts) > 1 else ' is'} in conflict",
                hint="edit and 'dsvc resolve PATH' (or --ours, --theirs), then 'dsvc merge --continue'; "
                "'dsvc merge --abort' takes it back",
            )
        case _:
            context.out.note("The changes are in the working copy: 'dsvc commit' records them")
    return code


def _show_changes(context: Context, old: CommitId | None, new: CommitId | None, *, stat: bool | None) -> None:
    if new is None or stat is False or (stat is None and context.out.quiet):
        return
    workspace = context.workspace()
    if not stat:
        context.out.note(f" {change_counts(workspace, changes_between(workspace, old, new))}")
    elif old is not None:
        from dsvc.actions.diff import diff
        from dsvc.commands.diff_options import DiffForm
        from dsvc.commands.diff_text import print_diff

        print_diff(context, diff(workspace, [old.hex(), new.hex()]), DiffForm(stat=True))


def merge_json(result: MergeResult) -> dict[str, object]:
    """What a merge came to, as `--json` shows it."""
    return {
        "result": result.kind,
        "old_commit": result.old_commit.hex() if result.old_commit else None,
        "commit": result.commit_id.hex() if result.commit_id else None,
        "theirs": result.theirs.hex(),
        "conflicts": [conflict_json(conflict) for conflict in result.conflicts],
        "notes": list(result.notes),
    }


def _ended(result: str, commit_id: CommitId | None) -> dict[str, object]:
    commit = commit_id.hex() if commit_id else None
    return {"result": result, "old_commit": None, "commit": commit, "theirs": None, "conflicts": [], "notes": []}


def _sides(made: CommitResult) -> dict[str, object]:
    """The commits that a merge brought together; only one where HEAD had none."""
    *before, theirs = made.commit.parents
    return {"old_commit": before[0].hex() if before else None, "theirs": theirs.hex()}


def _aborted(context: Context, workspace: Workspace, *, json: bool) -> None:
    commit_id = merge_abort(workspace)
    if json:
        context.out.json("dsvc.merge", _ended("aborted", commit_id))
        return
    context.out.note("The merge was taken back")


def _continued(
    context: Context,
    workspace: Workspace,
    text: str | None,
    *,
    run_hooks: bool,
    sign: Sign,
    json: bool,
    stat: bool | None,
) -> None:
    made = merge_continue(workspace, message=text, run_hooks=run_hooks, sign=sign)
    if json:
        context.out.json("dsvc.merge", {**_ended("merged", made.commit_id), **_sides(made)})
        return
    context.out.note(f"Merge made: {made.commit_id.hex()[:SHORT]} {made.commit.message.partition(chr(10))[0]}")
    _show_changes(context, made.parent, made.commit_id, stat=stat)
