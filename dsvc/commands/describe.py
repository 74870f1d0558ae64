"""The `dsvc describe` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.describe import NoTagError, describe_commit
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.errors import UsageError


def command(
    context: Context,
    revision: Annotated[str, typer.Argument(metavar="[REV]", help="The commit to name.")] = "HEAD",
    *,
    tags: Annotated[bool, typer.Option("--tags", help="Use tags without a message too.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Use branches too.")] = False,
    always: Annotated[bool, typer.Option("--always", help="Where there is no tag, print the short id.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Print distance and id even at a tag.")] = False,
    exact: Annotated[bool, typer.Option("--exact-match", help="Only a tag of this very commit.")] = False,
    digits: Annotated[int, typer.Option("--abbrev", metavar="N", min=0, max=64, help="Digits; 0: the tag alone.")] = 10,
    match: Annotated[Sequence[str], typer.Option("--match", metavar="GLOB", help="Only these tags.")] = (),
    exclude: Annotated[Sequence[str], typer.Option("--exclude", metavar="GLOB", help="Not these tags.")] = (),
    first_parent: Annotated[bool, typer.Option("--first-parent", help="Follow first parents of merges.")] = False,
    candidates: Annotated[int, typer.Option("--candidates", metavar="N", min=1, help="Tags to look at.")] = 10,
    dirty: Annotated[bool, typer.Option("--dirty", help="Add -dirty where the working copy differs.")] = False,
    json: Json = False,
) -> None:
    """Name a commit by the nearest tag.

    Prints TAG-N-gID: the tag, how many commits follow it, and the commit's id; at a tag the tag alone. Only tags with
    a message count, unless --tags is given.
    """
    if long and not digits:
        raise UsageError("--long and --abbrev=0 exclude each other")
    if dirty and revision != "HEAD":
        raise UsageError("--dirty is about the working copy and takes no REV")
    result = describe_commit(
        context.workspace(),
        revision,
        lightweight=tags,
        branches=every,
        match=match,
        exclude=exclude,
        first_parent=first_parent,
        candidates=candidates,
        check_dirty=dirty,
    )
    found = result.description
    short = result.commit_id.hex()[: digits or 10]
    if found is None or (exact and found.depth):
        if not always:
            which = "tag" if tags or every else "tag with a message"
            what = "is at this commit" if exact else "is below this commit"
            raise NoTagError(f"no {which} {what} ({short})", hint="--tags takes all tags, --always prints the id")
        text = short
    else:
        text = found.tag if not digits else found.text(result.commit_id, digits=digits, long=long)
    text += "-dirty" if result.dirty else ""
    if json:
        fields = {"tag": found.tag, "distance": found.depth} if found is not None else {"tag": None, "distance": None}
        document = {"name": text, "commit": result.commit_id.hex(), **fields, "dirty": result.dirty if dirty else None}
        context.out.json("dsvc.describe", document)
    else:
        context.out.line(text)
