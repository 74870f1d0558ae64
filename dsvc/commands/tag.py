"""The `dsvc tag` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.refs import RefFilter, RefInfo, matching, sorted_refs
from dsvc.actions.revision import revision_context
from dsvc.actions.tag import TagResult, create_tag, delete_tags, list_tags
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Message, Quiet
from dsvc.commands.ref_text import SHORT, format_ref, ref_json
from dsvc.commands.signature_text import named_key
from dsvc.commands.verify_tag import show_verified
from dsvc.errors import RequestError, UsageError
from dsvc.history.revisions import resolve_commit
from dsvc.workspace import Workspace


def command(
    context: Context,
    names: Annotated[
        Sequence[str], typer.Argument(metavar="[NAME [REV]]", help="A new tag, and what it marks (HEAD).")
    ] = (),
    *,
    listing: Annotated[bool, typer.Option("-l", "--list", help="List; names are patterns such as 'v1.*'.")] = False,
    lines: Annotated[
        int | None, typer.Option("-n", metavar="[N]", min=0, help="List with N lines of each message (1).")
    ] = None,
    contains: Annotated[str | None, typer.Option("--contains", metavar="REV", help="List those with REV.")] = None,
    merged: Annotated[str | None, typer.Option("--merged", metavar="REV", help="List those that REV contains.")] = None,
    no_merged: Annotated[str | None, typer.Option("--no-merged", metavar="REV", help="List the others.")] = None,
    points_at: Annotated[str | None, typer.Option("--points-at", metavar="REV", help="List those at REV.")] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="KEY", help="Such as -creatordate, version.")] = "refname",
    template: Annotated[
        str | None, typer.Option("--format", metavar="TEXT", help="Such as '%(refname:short) %(subject)'.")
    ] = None,
    annotate: Annotated[bool, typer.Option("-a", "--annotate", help="Make a tag with a message.")] = False,
    message: Message = (),
    file: Annotated[
        Path | None, typer.Option("-F", "--file", metavar="FILE", help="Take the message from FILE; - is stdin.")
    ] = None,
    sign: Annotated[bool, typer.Option("-s", "--sign", help="Make a signed tag, with user.signingKey.")] = False,
    key: Annotated[
        str | None, typer.Option("-u", "--local-user", metavar="KEY", help="Make a tag signed with this SSH key.")
    ] = None,
    no_sign: Annotated[bool, typer.Option("--no-sign", help="Do not sign, whatever tag.sign says.")] = False,
    verify: Annotated[bool, typer.Option("-v", "--verify", help="Check signatures: 'dsvc verify-tag'.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Move a tag that exists.")] = False,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="Delete tags.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """List, create or delete tags.

    Without arguments, and with the options that choose, lists. With a NAME tags HEAD's commit or REV; -a, -m and -F
    make a tag with a message, which also records who made it when, -s and -u one that is signed too. 'dsvc undo' takes
    a deletion back.
    """
    if no_sign and (sign or key is not None):
        raise UsageError("--no-sign excludes -s and -u")
    workspace = context.workspace()
    chooses = listing or lines is not None or any((contains, merged, no_merged, points_at))
    if verify:
        if not names:
            raise UsageError("the tag to check is missing", hint="dsvc tag -v NAME")
        return show_verified(context, names, verbose=True, quiet=quiet, json=json)
    if delete:
        if not names:
            raise UsageError("the tag to delete is missing", hint="dsvc tag -d NAME")
        _tell(context, delete_tags(workspace, names), "Deleted", json=json)
    elif (message or file is not None or annotate or sign or key is not None) and not names:
        raise UsageError("the name of the tag is missing", hint="dsvc tag -m TEXT NAME [REV]")
    elif chooses or not names:
        revisions = revision_context(workspace)
        texts = (merged, no_merged, contains, points_at)
        commits = [None if text is None else resolve_commit(revisions, text) for text in texts]
        wanted = RefFilter(names, commits[0], commits[1], commits[2], points_at=commits[3])
        found = sorted_refs(matching(iter(list_tags(workspace)), wanted, revisions.ancestry()), sort)
        _list(context, found, lines=lines, template=template, json=json)
    elif len(names) > 2:
        raise UsageError("too many arguments", hint="dsvc tag NAME [REV]")
    else:
        signs = False if no_sign else named_key(context, key) if key is not None else True if sign else None
        signed = context.config().get_bool("tag.sign") if signs is None else bool(signs)
        annotate = annotate or signed
        text = _message(context, workspace, names[0], given=message, file=file, annotate=annotate, force=force)
        target = names[1] if len(names) == 2 else "HEAD"
        result = create_tag(workspace, names[0], target=target, message=text, force=force, sign=signs)
        _tell(context, [result], "Created" if result.before is None else "Moved", json=json)
    return None


def _message(
    context: Context,
    workspace: Workspace,
    name: str,
    *,
    given: Sequence[str],
    file: Path | None,
    annotate: bool,
    force: bool,
) -> str | None:
    if given and file is not None:
        raise UsageError("-m and -F exclude each other")
    if given:
        return "\n\n".join(given)
    if file is not None:
        data = context.read_input() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8", "surrogateescape").rstrip("\n")
    if not annotate:
        return None
    if not force and workspace.view().get(f"tags/{name}") is not None:
        raise RequestError(f"there is already a tag {name}", hint=f"dsvc tag -f -a {name}")
    context.identity()  # before the editor opens, not after
    text = context.edit(f"\n# Write a message for tag {name}; lines that begin with # are left out.\n")
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip("\n")
    if not kept.strip():
        raise RequestError("no tag was made: the message is empty", hint=f"dsvc tag -m TEXT {name}")
    return kept


def _tell(context: Context, results: Sequence[TagResult], what: str, *, json: bool) -> None:
    if json:
        documents = [
            {
                "name": result.name,
                "id": result.target.id.hex() if result.target else None,
                "old_id": result.before.id.hex() if result.before else None,
            }
            for result in results
        ]
        context.out.json("dsvc.tag.changed", {"action": what.lower(), "tags": documents})
        return
    for result in results:
        was = f" (was {result.before.id.hex()[:SHORT]})" if result.before is not None else ""
        context.out.note(f"{what} tag {result.name}{was}")


def _list(
    context: Context, tags: Sequence[RefInfo], *, lines: int | None, template: str | None, json: bool
) -> None:
    if json:
        context.out.json("dsvc.tag", {"tags": [ref_json(ref) for ref in tags]})
        return
    now = context.now()
    with context.paged():
        for ref in tags:
            if template is not None:
                context.out.line(format_ref(ref, template, head=False, now=now))
            elif not lines:
                context.out.line(ref.short)
            else:
                text = ref.tag.message if ref.tag is not None else ref.commit.message if ref.commit else ""
                first, *rest = text.strip("\n").splitlines()[:lines] or [""]
                context.out.line(f"{ref.short:<15} {first}".rstrip())
                for line in rest:
                    context.out.line(f"    {line}".rstrip())
