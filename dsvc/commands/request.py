"""The `dsvc request` commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.diff_options import DiffForm, NameOnly, NameStatus, NoRenames, Patch, Stat, Unified, rename_minimum
from dsvc.commands.diff_text import files_json, print_diff
from dsvc.commands.options import Json, Message, NoRules, Quiet
from dsvc.commands.push import relayed, show_said
from dsvc.commands.ref_text import SHORT
from dsvc.commands.request_review import Number, Where, approve, close, comment, place_of, reopen
from dsvc.commands.request_runs_text import compared_json
from dsvc.commands.request_text import event_json, list_rows, plain, preview_json, request_json, show_request
from dsvc.commands.signature_text import GpgSign, NoGpgSign, chosen_sign
from dsvc.errors import UsageError
from dsvc.refs.names import short_name
from dsvc.requests.merge_request import State

Title = Annotated[str | None, typer.Option("-t", "--title", metavar="TEXT", help="What it is about, in one line.")]
Into = Annotated[
    str | None, typer.Option("--into", metavar="BRANCH", help="The branch to merge into; the default one if none.")
]


def open_(
    context: Context,
    revision: Annotated[str | None, typer.Argument(metavar="[REV]", help="What to merge; the current branch.")] = None,
    *,
    into: Into = None,
    title: Title = None,
    message: Message = (),
    remote: Where = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Ask for a merge of the current branch into a branch of a remote.

    The commits are stored there with the request: the branch need not be pushed before, and may be deleted later.
    Without --title the request is called as its one commit is, else as the branch.
    """
    from dsvc.actions.request_open import request_open

    workspace, settings = place_of(context, remote)
    with relayed(context):
        result = request_open(
            workspace,
            settings,
            revision=revision,
            into=into,
            title=title,
            text="\n\n".join(message),
            sign=chosen_sign(context, gpg_sign, no_sign=no_gpg_sign),
        )
    said = result.said
    show_said(context, said.output)
    if json:
        payload = {"number": said.number, "title": result.title, "target": short_name(result.target)}
        head = result.source.commit_id.hex()
        context.out.json("dsvc.request.open", {**payload, "head": head, "commits": result.commits})
        return
    context.out.line(f"Request {said.number}: {plain(result.title)}")
    context.out.note(
        f"{counted(result.commits, 'commit')} to merge into {short_name(result.target)} of {settings.shown}; "
        f"'dsvc request show {said.number}'"
    )


def update(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="[NUMBER] [REV]", help="The request, and its commits.")
    ] = (),
    *,
    title: Title = None,
    message: Message = (),
    remote: Where = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Bring newer commits to a request, or give it another title.

    Approvals are of the commit that was looked at: for the new one they have to be given again.
    """
    from dsvc.actions.request_open import request_update

    if len(words) > 2 or (words and not words[0].isdecimal()):
        raise UsageError("update takes a number and a revision", hint="dsvc request update 3 topic")
    workspace, settings = place_of(context, remote)
    with relayed(context):
        result = request_update(
            workspace,
            settings,
            int(words[0]) if words else None,
            revision=words[1] if len(words) > 1 else None,
            title=title,
            text="\n\n".join(message),
            sign=chosen_sign(context, gpg_sign, no_sign=no_gpg_sign),
        )
    said, commit = result.said, result.said.event.commit
    show_said(context, said.output)
    if json:
        head = commit.hex() if commit is not None else None
        payload = {"number": said.number, "title": result.title, "head": head, "commits": result.commits}
        context.out.json("dsvc.request.update", {**payload, "stale_approvals": result.stale})
        return
    if commit is None:
        context.out.note(f"Request {said.number} is called {plain(result.title)!r}")
        return
    short = commit.hex()[:SHORT]
    context.out.note(f"Request {said.number} is at {short}, {counted(result.commits, 'commit')} to merge")
    if result.stale:
        context.out.note(f"{counted(result.stale, 'approval')} of the version before no longer counts")


def list_(
    context: Context,
    *,
    every: Annotated[bool, typer.Option("-a", "--all", help="Those that were merged or closed too.")] = False,
    state: Annotated[
        Literal["open", "closed", "merged"] | None, typer.Option("--state", help="Only those in this state (open).")
    ] = None,
    remote: Where = None,
    json: Json = False,
) -> None:
    """List the requests of a remote, the newest first."""
    from dsvc.actions.request import request_list

    if every and state is not None:
        raise UsageError("--all and --state exclude each other")
    states: Sequence[State] = ("open", "closed", "merged") if every else (state or "open",)
    workspace, settings = place_of(context, remote)
    found = request_list(workspace, settings, states=states)
    if json:
        rows = [request_json(one.request, one.standing) for one in found]
        context.out.json("dsvc.request.list", {"remote": settings.name, "requests": rows})
        return
    if not found:
        context.out.note(f"{settings.shown} has no {'' if every else f'{states[0]} '}requests")
    with context.paged():
        context.out.table(list_rows(context.out, found, now=context.now(), states=every), right={0})


def show(context: Context, number: Number, *, remote: Where = None, json: Json = False) -> None:
    """Show a request: what was said, what it changes, and whether it can be merged."""
    from dsvc.actions.request import request_show

    workspace, settings = place_of(context, remote)
    shown = request_show(workspace, settings, number)
    if json:
        changed, form = shown.preview.diff, DiffForm(numstat=True)
        files = [*files_json(changed.files, changed.sides, form)]
        payload: dict[str, Any] = {
            **request_json(shown.request, shown.standing),
            "enforced": shown.enforced,
            "branch_moved_to": shown.moved_to.hex() if shown.moved_to is not None else None,
            "events": [event_json(recorded) for recorded in shown.request.events],
            "merge": preview_json(shown),
            "files": files,
            "runs": [compared_json(run) for run in shown.runs],
        }
        context.out.json("dsvc.request.show", payload)
        return
    with context.paged():
        show_request(context, workspace, shown)


def diff(
    context: Context,
    number: Number,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATH]...", help="Only these files and folders.")] = (),
    *,
    since: Annotated[
        str | None, typer.Option("--since", metavar="COMMIT", help="What changed since this version of it.")
    ] = None,
    patch: Patch = False,
    stat: Stat = False,
    name_only: NameOnly = False,
    name_status: NameStatus = False,
    unified: Unified = None,
    no_renames: NoRenames = False,
    remote: Where = None,
    json: Json = False,
) -> None:
    """Show what a request changes, against the commit that it and its target have in common."""
    from dsvc.actions.request import request_diff

    form = DiffForm(
        patch=patch or not any((stat, name_only, name_status)),
        stat=stat,
        name_only=name_only,
        name_status=name_status,
        context=unified if unified is not None else context.config().get_int("diff.context"),
        text=patch,
    )
    form.check()
    workspace, settings = place_of(context, remote)
    chosen = [path for path in (workspace.repo_path(p, context.directory) for p in paths) if path]
    minimum = rename_minimum(None, no_renames=no_renames)
    request, result = request_diff(workspace, settings, number, paths=chosen, minimum=minimum, since=since)
    if json:
        files = [*files_json(result.files, result.sides, form)]
        payload = {"number": number, "head": request.head.hex(), "renames_complete": result.limit is None}
        context.out.json("dsvc.request.diff", {**payload, "files": files})
        return
    with context.paged():
        print_diff(context, result, form)


def merge(
    context: Context,
    number: Number,
    *,
    squash: Annotated[bool, typer.Option("--squash", help="As one commit on top of the target.")] = False,
    ff_only: Annotated[bool, typer.Option("--ff-only", help="Only move the target; refuse (12) otherwise.")] = False,
    message: Message = (),
    delete_branch: Annotated[
        bool, typer.Option("-d", "--delete-branch", help="Delete the branch that it came from, too.")
    ] = False,
    no_rules: NoRules = False,
    remote: Where = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Merge a request into its target, on the remote; your working copy is not touched.

    A request with conflicts is refused (13), and so is one with too few approvals (1). A hub checks again that what
    is published is just what was approved; elsewhere the project's .dsvcrules are asked, as advice.
    """
    from dsvc.actions.explained import correction_note
    from dsvc.actions.request_merge import request_merge

    if squash and ff_only:
        raise UsageError("--squash and --ff-only exclude each other")
    workspace, settings = place_of(context, remote)
    with relayed(context):
        result = request_merge(
            workspace,
            settings,
            number,
            way="squash" if squash else "fast-forward" if ff_only else "merge",
            message="\n\n".join(message) or None,
            delete_branch=delete_branch,
            rules=not no_rules,
            sign=chosen_sign(context, gpg_sign, no_sign=no_gpg_sign),
        )
    show_said(context, result.said.output)
    target = short_name(result.request.target)
    if json:
        payload = {"number": number, "way": result.way, "target": target, "base": result.base.hex()}
        payload |= {"result": result.result.hex(), "deleted": result.deleted}
        made = result.correction.key.hex() if result.correction is not None else None
        context.out.json("dsvc.request.merge", {**payload, "correction": made})
        return
    if result.way is None:
        context.out.note(f"{target} of {settings.shown} has request {number} already, which is noted")
    else:
        moved = f"{result.base.hex()[:SHORT]}..{result.result.hex()[:SHORT]}"
        context.out.note(f"Merged request {number} into {target} of {settings.shown}: {moved}")
    if result.deleted is not None:
        context.out.note(f"Deleted branch {result.deleted} there")
    if result.correction is not None:
        context.out.note(correction_note(result.correction))


def checkout(
    context: Context,
    number: Number,
    *,
    branch: Annotated[
        str | None, typer.Option("-b", "--branch", metavar="NAME", help="The branch's name, if not request/NUMBER.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Stand at its commit without a branch.")] = False,
    remote: Where = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check the commits of a request out on a branch of its own, request/NUMBER.

    Commits that are made there go to the request by 'dsvc request update'.
    """
    from dsvc.actions.request_checkout import request_checkout

    if detach and branch is not None:
        raise UsageError("--detach and --branch exclude each other")
    workspace, settings = place_of(context, remote)
    done = request_checkout(workspace, settings, number, branch=branch, detach=detach)
    if json:
        payload = {"number": number, "branch": done.branch, "commit": done.commit_id.hex()}
        context.out.json("dsvc.request.checkout", {**payload, "created": done.created, "ahead": done.ahead})
        return
    where = f"branch {done.branch}" if done.branch is not None else "a detached HEAD"
    context.out.note(f"Request {number} on {where}, at {done.commit_id.hex()[:SHORT]}")
    if done.ahead:
        context.out.note(f"It has commits that the request has not: 'dsvc request update {number}' brings them")


SUBCOMMANDS = {
    "open": open_,
    "list": list_,
    "show": show,
    "diff": diff,
    "comment": comment,
    "approve": approve,
    "update": update,
    "merge": merge,
    "close": close,
    "reopen": reopen,
    "checkout": checkout,
}
