"""The `dsvc commit` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.commit import CommitResult, NothingToCommitError, changed_by, commit
from dsvc.actions.explained import correction_note
from dsvc.actions.hooks import dormant_hooks
from dsvc.actions.state import UnresolvedError, read_state
from dsvc.actions.status import status
from dsvc.commands.change_counts import change_counts
from dsvc.commands.commit_message import message_of, message_template
from dsvc.commands.context import Context
from dsvc.commands.copied_text import tell_copies
from dsvc.commands.options import Json, NoStaging, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.signature_text import GpgSign, NoGpgSign, chosen_sign
from dsvc.commands.status_output import Form, show_status
from dsvc.errors import UsageError
from dsvc.objects.values import Person
from dsvc.refs.names import short_name
from dsvc.workspace import Workspace

SHORT = 10


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATHS]...", help="Only these files and folders.")] = (),
    *,
    message: Annotated[
        Sequence[str], typer.Option("-m", "--message", metavar="TEXT", help="The message; repeat for paragraphs.")
    ] = (),
    file: Annotated[str | None, typer.Option("-F", "--file", metavar="FILE", help="The message; - is stdin.")] = None,
    all_changes: Annotated[bool, typer.Option("-a", "--all", help="Accepted: all changes are taken anyway.")] = False,
    amend: Annotated[bool, typer.Option("--amend", help="Replace the last commit.")] = False,
    no_edit: Annotated[bool, typer.Option("--no-edit", help="With --amend: keep its message.")] = False,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Commit even when nothing changed.")] = False,
    allow_empty_message: Annotated[
        bool, typer.Option("--allow-empty-message", help="Commit even when the message is empty.")
    ] = False,
    author: Annotated[str | None, typer.Option("--author", metavar="'NAME <EMAIL>'", help="Who made it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take large new files and what looks like keys too.")] = False,
    no_verify: Annotated[bool, typer.Option("-n", "--no-verify", help="Run no hooks.")] = False,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be committed and do nothing; 1 if that is nothing.")
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the differences in the editor.")] = False,
    staged: NoStaging = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Record all changes of the working copy, or of PATHS only.

    There is no staging area: new files that are not ignored are taken too. Nothing is lost when it is broken off.
    """
    sign = chosen_sign(context, gpg_sign, no_sign=no_gpg_sign)
    workspace = context.workspace()
    selected = [p for p in (workspace.repo_path(p, context.directory) for p in paths) if p]
    if dry_run:
        show_status(context, paths, Form(json=json))
        return 1 if status(workspace, paths=selected).is_clean() else None
    text = _message(
        context,
        workspace,
        message,
        file,
        amend=amend,
        no_edit=no_edit,
        allow_empty=allow_empty,
        paths=selected,
        verbose=verbose,
    )
    _check_message(text, empty=allow_empty_message)
    result = commit(
        workspace,
        text,
        paths=selected,
        author=_author(author, workspace) if author else None,
        amend=amend,
        allow_empty=allow_empty,
        confirmed=yes,
        run_hooks=not no_verify,
        sign=sign,
    )
    tell_copies(context, workspace, result.size)
    for skipped in result.skipped:
        context.out.warn(f"{quote_path(skipped.path)} was left out: {skipped.reason}")
    if result.environment_problem is not None:
        context.out.warn(
            f"the commit names no environment: {result.environment_problem}",
            hint="dsvc config commit.environment never keeps it so",
        )
    for hook in [] if no_verify else dormant_hooks(workspace):
        context.out.warn(f"the hook {hook} did not run: it is not executable", hint=f"chmod +x {hook}")
    if json:
        _json(context, result)
    elif not quiet:
        _show(context, workspace, result)
    return None


def _message(
    context: Context,
    workspace: Workspace,
    words: Sequence[str],
    file: str | None,
    *,
    amend: bool,
    no_edit: bool,
    allow_empty: bool,
    paths: Sequence[bytes],
    verbose: bool,
) -> str:
    if words and file:
        raise UsageError("-m and -F exclude each other", hint="dsvc commit -m MESSAGE")
    if words:
        return "\n\n".join(words)
    if file is not None:
        return context.read_text(file).strip("\n")
    state = read_state(workspace)
    head = workspace.head().commit_id
    before, against = state.message if state is not None else "", "HEAD"
    if amend and head is not None:
        amended = workspace.repo.commit(head)
        before, against = amended.message, "HEAD~1" if amended.parents else "HEAD"
    if no_edit and before:
        return before
    found = status(workspace, paths=paths)
    if found.state is not None and found.state.conflicts:  # nobody shall write a message for nothing
        raise UnresolvedError(found.state)
    if found.is_clean() and not (amend or allow_empty):
        raise NothingToCommitError(paths)
    template = message_template(workspace, before, found, paths=paths, verbose=verbose, against=against)
    return message_of(context.edit(template))


def _check_message(text: str, *, empty: bool) -> None:
    if not text.strip() and not empty:
        raise UsageError(
            "the message is empty, so nothing was committed",
            hint="dsvc commit -m MESSAGE, or --allow-empty-message if that is meant",
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise UsageError(
            f"line {line} of the message is not valid UTF-8, so nothing was committed",
            hint="write it in UTF-8: in a file it can be converted by iconv -f ISO-8859-1 -t UTF-8 FILE",
        ) from error


def _author(text: str, workspace: Workspace) -> Person:
    name, _, rest = text.partition("<")
    if not rest.endswith(">") or not name.strip():
        raise UsageError(
            f"--author {text!r} is not of the form 'NAME <EMAIL>'", hint="--author 'Ada Lovelace <ada@example.org>'"
        )
    return workspace.person()._replace(name=name.strip(), email=rest[:-1])


def _json(context: Context, result: CommitResult) -> None:
    context.out.json(
        "dsvc.commit",
        {
            "commit": result.commit_id.hex(),
            "tree": result.commit.tree.hex(),
            "parents": [p.hex() for p in result.commit.parents],
            "branch": short_name(result.branch) if result.branch else None,
            "message": result.commit.message,
            "environment": result.commit.environment.hex() if result.commit.environment is not None else None,
            "signed": result.commit.signature is not None,
            "correction": result.correction.key.hex() if result.correction is not None else None,
            "files_stored": result.files,
            "bytes_stored": result.size,
            "skipped": [{**path_json(s.path), "reason": s.reason} for s in result.skipped],
        },
    )


def _show(context: Context, workspace: Workspace, result: CommitResult) -> None:
    where = short_name(result.branch) if result.branch else "detached HEAD"
    first = " (root-commit)" if not result.commit.parents else ""
    subject = result.commit.message.partition("\n")[0]
    context.out.line(f"[{where}{first} {result.commit_id.hex()[:SHORT]}] {subject}")
    context.out.line(f" {change_counts(workspace, changed_by(workspace, result.commit))}")
    if result.correction is not None:
        context.out.note(correction_note(result.correction))
