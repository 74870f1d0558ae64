"""The `dsvc bundle` commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.bundle import create_bundle, verify_bundle
from dsvc.commands.context import Context, private_folder
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError
from dsvc.remotes.bundle_file import BundleHeader, read_header

_SHORT = 10

File = Annotated[str, typer.Argument(metavar="FILE", help="The bundle, such as project.bundle.")]


def create(
    context: Context,
    file: File,
    revisions: Annotated[
        Sequence[str], typer.Argument(metavar="[REV]...", help="Branches, tags, A..B or ^A; else the current branch.")
    ] = (),
    *,
    since: Annotated[
        Sequence[str], typer.Option("--since", metavar="REV", help="Leave out what this commit reaches.")
    ] = (),
    every: Annotated[bool, typer.Option("--all", help="All branches and tags.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write history with all its content into one file, for a machine without a network.

    'dsvc clone FILE' makes a repository from it there, 'dsvc fetch FILE' and 'dsvc pull FILE' take what is new. With
    --since or A..B it holds only what came after; whoever takes from it must have what came before.
    """
    if every and revisions and not all(word.startswith("^") for word in revisions):
        raise UsageError("--all takes no branches or tags", hint="--since REV leaves something out")
    done = create_bundle(
        context.workspace(), context.directory / file, revisions, since=since, every=every
    )
    if json:
        document = {"file": str(done.path), "bytes": done.size, "objects": done.sent.objects}
        context.out.json("dsvc.bundle.create", {**document, **_json(done.header)})
        return
    names = ", ".join(name.partition("/")[2] for name, _ in done.header.refs[:5])
    more = f" and {len(done.header.refs) - 5} more" if len(done.header.refs) > 5 else ""
    context.out.line(f"{file}: {names}{more}, {counted(done.sent.objects, 'object')}, {human_size(done.size)}")
    if done.header.prerequisites:
        count = counted(len(done.header.prerequisites), "commit")
        context.out.note(f"whoever takes from it must have {count}: dsvc bundle verify {file} says which")


def verify(context: Context, file: File, *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Check that a bundle is whole, and in a repository that it can be taken in there.

    The file is compared with its hash and each object with its id. The exit code is 15 when something is wrong, and
    1 when commits that it builds on are not here.
    """
    here = context.workspace() if private_folder(context.directory) is not None else None
    found = verify_bundle(context.directory / file, here, progress=context.progress)
    if json:
        document = {"file": file, "bytes": found.size, "objects": found.objects}
        missing = [p.id.hex() for p in found.missing] if here is not None else None
        context.out.json("dsvc.bundle.verify", {**document, **_json(found.header), "missing": missing})
    else:
        context.out.line(f"{file} is whole: {counted(found.objects, 'object')}, {human_size(found.size)}")
        _list(context, found.header)
        absent = {p.id for p in found.missing}
        for commit in found.header.prerequisites:
            note = " (not here)" if commit.id in absent else ""
            context.out.line(f"needs {commit.id.hex()[:_SHORT]} {commit.subject}{note}")
    return 1 if found.missing else None


def fetch(
    context: Context,
    file: File,
    refspecs: Annotated[
        Sequence[str], typer.Argument(metavar="[BRANCH]...", help="Only these, as BRANCH or THERE:HERE.")
    ] = (),
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Take in what a bundle has: without names all of its branches and tags.

    It is 'dsvc fetch FILE': your own branches and files stay as they are, the branches are FETCH_HEAD, and
    'dsvc pull FILE BRANCH' joins one of them.
    """
    from dsvc.commands.fetch import command as fetch_command

    path = context.directory / file
    wanted = refspecs or [name for name, _ in read_header(path).refs]
    return fetch_command(context, str(path), wanted, quiet=quiet, json=json)


def list_heads(context: Context, file: File, *, quiet: Quiet = False, json: Json = False) -> None:
    """List the branches and tags in a bundle."""
    header = read_header(context.directory / file)
    if json:
        context.out.json("dsvc.bundle.list-heads", {"file": file, **_json(header)})
    else:
        _list(context, header)


def _list(context: Context, header: BundleHeader) -> None:
    for name, ref in header.refs:
        context.out.line(f"{ref.id.hex()} {name}")


def _json(header: BundleHeader) -> dict[str, Any]:
    return {
        "refs": [{"ref": name, "kind": ref.kind.name.lower(), "id": ref.id.hex()} for name, ref in header.refs],
        "prerequisites": [{"commit": p.id.hex(), "subject": p.subject} for p in header.prerequisites],
    }


SUBCOMMANDS = {"create": create, "verify": verify, "fetch": fetch, "list-heads": list_heads}
