"""The `dsvc rev-parse` command."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer

from dsvc.actions.rev_parse import RevParseResult, ref_name, rev_parse, unique_prefix
from dsvc.actions.revision import revision_context
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.errors import RequestError, UsageError
from dsvc.history.revisions import UnknownRevisionError
from dsvc.workspace import Workspace

_SHORT = 10
_LEAST = 4
_OPTIONS: Final = {
    "toplevel": "--show-toplevel",
    "prefix": "--show-prefix",
    "dsvc_dir": "--dsvc-dir",
    "inside_work_tree": "--is-inside-work-tree",
}


def command(
    context: Context,
    revisions: Annotated[Sequence[str], typer.Argument(metavar="[REV]...", help="Revisions and ranges.")] = (),
    *,
    short: Annotated[bool, typer.Option("--short", help="Print the shortest ids that are unique.")] = False,
    length: Annotated[
        int, typer.Option("--length", metavar="N", min=_LEAST, max=64, help="Digits of --short at least.")
    ] = _SHORT,
    verify: Annotated[bool, typer.Option("--verify", help="Accept exactly one revision.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="With --verify, fail silently with code 1.")] = False,
    abbrev_ref: Annotated[bool, typer.Option("--abbrev-ref", help="Print the names of branches and tags.")] = False,
    full_name: Annotated[bool, typer.Option("--symbolic-full-name", help="Print full names of refs.")] = False,
    toplevel: Annotated[bool, typer.Option("--show-toplevel", help="Print the folder of the working copy.")] = False,
    prefix: Annotated[bool, typer.Option("--show-prefix", help="Print the current folder inside it.")] = False,
    private: Annotated[bool, typer.Option("--dsvc-dir", help="Print the folder .dsvc.")] = False,
    inside: Annotated[bool, typer.Option("--is-inside-work-tree", help="Print true inside a working copy.")] = False,
    json: Json = False,
) -> int | None:
    """Turn a revision into an id.

    Prints the ids of what the revisions name, one a line; those that a range leaves out have a ^ before them.
    """
    workspace = context.workspace()
    places = {
        "toplevel": os.fspath(workspace.root) if toplevel else None,
        "prefix": _prefix(context, workspace) if prefix else None,
        "dsvc_dir": os.fspath(workspace.private) if private else None,
        "inside_work_tree": "true" if inside else None,
    }
    if verify and len(revisions) != 1:
        raise UsageError("--verify takes a single revision", hint="dsvc rev-parse --verify HEAD")
    names: list[str] = []
    found: list[RevParseResult] = []
    try:
        if abbrev_ref or full_name:
            names = [_name(workspace, word, full=full_name) for word in revisions]
        else:
            found = rev_parse(workspace, revisions, context=revision_context(workspace, directory=context.directory))
    except RequestError:
        if verify and quiet:
            return 1
        raise
    texts = names or [_text(workspace, item, short=short, length=length) for item in found]
    if json:
        ids = [{"id": item.object_id.hex(), "hidden": item.hidden} for item in found]
        context.out.json("dsvc.rev-parse", {"ids": ids, "names": names, **places})
        return None
    for text in [*_as_asked(places, context.command_line), *texts]:
        context.out.line(text)
    return None


def _as_asked(places: Mapping[str, str | None], words: Sequence[str]) -> list[str]:
    """The answers in the order of the options, which scripts rely on."""
    found = [(words.index(_OPTIONS[name]) if _OPTIONS[name] in words else len(words), name) for name in places]
    return [text for _, name in sorted(found) if (text := places[name]) is not None]


def _name(workspace: Workspace, word: str, *, full: bool) -> str:
    name = ref_name(workspace, word, full=full)
    if name is None:
        raise UnknownRevisionError(f"{word!r} is no branch or tag", hint="dsvc branch -a")
    return name


def _text(workspace: Workspace, item: RevParseResult, *, short: bool, length: int) -> str:
    digits = unique_prefix(workspace.repo.store, item.object_id, length=length) if short else item.object_id.hex()
    return f"^{digits}" if item.hidden else digits


def _prefix(context: Context, workspace: Workspace) -> str:
    path = workspace.repo_path(".", context.directory).decode("utf-8", "surrogateescape")
    return f"{path}/" if path else ""
