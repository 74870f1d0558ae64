"""The `dsvc verify-tag` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.verify import VerifiedTag, verify_tags
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.ref_text import SHORT
from dsvc.commands.signature_text import verdict_json, verdict_lines


def command(
    context: Context,
    names: Annotated[Sequence[str], typer.Argument(metavar="TAG...", help="Tags.")],
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the messages too.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Check the signatures of tags.

    A signature is good when it fits the tag and sign.allowedSigners names the key for somebody, valid at the time of
    the tag. It speaks for what the tag marks, by its id. Exits with 1 unless all are good.
    """
    return show_verified(context, names, verbose=verbose, quiet=quiet, json=json)


def show_verified(context: Context, names: Sequence[str], *, verbose: bool, quiet: bool, json: bool) -> int:
    """Check tags and print what came of it, for `dsvc tag -v` too; return the exit code."""
    found = verify_tags(context.workspace(), names)
    code = 0 if all(one.verdict.good and _is_named(one) for one in found) else 1
    if json:
        tags = [
            {
                "name": one.name,
                "tag": one.tag_id.hex(),
                "signed_name": one.tag.name,
                "target": {"kind": one.tag.target_kind.name.lower(), "id": one.tag.target.hex()},
                **verdict_json(one.verdict),
            }
            for one in found
        ]
        context.out.json("dsvc.verify-tag", {"good": code == 0, "tags": tags})
        return code
    for one in [] if quiet else found:
        target = f"{one.tag.target_kind.name.lower()} {one.tag.target.hex()[:SHORT]}"
        context.out.line(f"{context.out.paint(f'tag {one.name}', 'yellow')} marks {target}")
        for line in one.tag.message.rstrip("\n").split("\n") if verbose else ():
            context.out.line(f"    {line}".rstrip())
        for line in verdict_lines(one.verdict, context.out):
            context.out.line(f"  {line}")
        if not _is_named(one):
            context.out.line(f"  what was signed calls itself {one.tag.name}, not {one.name}")
    return code


def _is_named(one: VerifiedTag) -> bool:
    """Whether the tag is called what its object says; an id names the object itself."""
    return one.tag.name == one.name.removeprefix("tags/") or one.tag_id.hex().startswith(one.name)
