"""The `dsvc request` commands that say something: comment, approve, close, reopen."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.remote_access import choose_remote
from dsvc.actions.request_saying import Said
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Message, Quiet
from dsvc.commands.push import relayed, show_said
from dsvc.commands.ref_text import SHORT
from dsvc.commands.request_text import event_json
from dsvc.commands.signature_text import GpgSign, NoGpgSign, chosen_sign
from dsvc.errors import UsageError
from dsvc.remotes.settings import RemoteSettings
from dsvc.requests.merge_request import Recorded
from dsvc.workspace import Workspace

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The request's number.")]
Where = Annotated[
    str | None, typer.Option("-r", "--remote", metavar="NAME", help="The remote that has it, if not the usual one.")
]
_EDIT = "\n# What is to be said of request {number}? Lines that begin with # are left out.\n"


def comment(
    context: Context,
    number: Number,
    *,
    message: Message = (),
    remote: Where = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Say something about a request; without -m the editor is opened."""
    from dsvc.actions.request_review import request_comment

    workspace, settings = place_of(context, remote)
    text = "\n\n".join(message) or _edited(context, number)
    sign = chosen_sign(context, gpg_sign, no_sign=no_gpg_sign)
    with relayed(context):
        said = request_comment(workspace, settings, number, text, sign=sign)
    _told(context, said, f"Commented on request {number}", json=json)


def approve(
    context: Context,
    number: Number,
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take your approval back.")] = False,
    commit: Annotated[
        str | None, typer.Option("--commit", metavar="COMMIT", help="The commit that you approve, if not shown here.")
    ] = None,
    message: Message = (),
    remote: Where = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Approve the commit that a request asks to merge, as you have seen it.

    That is what 'dsvc request show', 'diff' or 'checkout' has shown here. An approval does not count for a later
    version of the request, nor where it is of your own commits.
    """
    from dsvc.actions.request_review import request_approve, request_withdraw

    if withdraw and commit is not None:
        raise UsageError("--withdraw and --commit exclude each other")
    workspace, settings = place_of(context, remote)
    text, sign = "\n\n".join(message), chosen_sign(context, gpg_sign, no_sign=no_gpg_sign)
    with relayed(context):
        if withdraw:
            said = request_withdraw(workspace, settings, number, text=text, sign=sign)
        else:
            said = request_approve(workspace, settings, number, commit=commit, text=text, sign=sign)
    done = said.event.commit.hex()[:SHORT] if said.event.commit is not None else ""
    _told(context, said, f"Approved {done} for request {number}" if done else "Approval taken back", json=json)


def close(
    context: Context,
    number: Number,
    *,
    message: Message = (),
    remote: Where = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Close a request without merging it."""
    from dsvc.actions.request_review import request_close

    workspace, settings = place_of(context, remote)
    with relayed(context):
        said = request_close(workspace, settings, number, text="\n\n".join(message))
    _told(context, said, f"Closed request {number}; 'dsvc request reopen {number}' opens it again", json=json)


def reopen(
    context: Context,
    number: Number,
    *,
    message: Message = (),
    remote: Where = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Open a closed request again."""
    from dsvc.actions.request_review import request_reopen

    workspace, settings = place_of(context, remote)
    with relayed(context):
        said = request_reopen(workspace, settings, number, text="\n\n".join(message))
    _told(context, said, f"Opened request {number} again", json=json)


def place_of(context: Context, remote: str | None) -> tuple[Workspace, RemoteSettings]:
    """The workspace, and the remote whose requests are meant."""
    workspace = context.workspace()
    return workspace, choose_remote(workspace, remote, directory=context.directory)


def _edited(context: Context, number: int) -> str:
    text = context.edit(_EDIT.format(number=number))
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip()
    if not kept:
        raise UsageError("the comment is empty, so nothing was said", hint=f"dsvc request comment {number} -m TEXT")
    return kept


def _told(context: Context, said: Said, text: str, *, json: bool) -> None:
    show_said(context, said.output)
    if json:
        recorded = event_json(Recorded(said.id, said.event))
        context.out.json("dsvc.request.said", {"number": said.number, "said": recorded})
    else:
        context.out.note(text)
