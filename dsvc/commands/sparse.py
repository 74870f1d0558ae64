"""The `dsvc sparse` commands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.sparse import SparseResult, add_sparse, set_sparse, sparse_patterns
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import RequestError

_Patterns = Annotated[
    Sequence[str], typer.Argument(metavar="PATTERNS...", help="Folders from the root, or globs; ! leaves out.")
]


def set_(context: Context, patterns: _Patterns, *, quiet: Quiet = False, json: Json = False) -> None:
    """Check out only these folders and files.

    A folder is in with everything below, and with the files that lie directly in the folders above it. A glob as in
    an ignore file ('*.py', 'data/**/labels.csv') takes in what it matches; after a '!' it leaves that out.

    Files outside leave the working copy unless they hold changes. They stay in the repository: status does not call
    them deleted, and commits, switches and merges keep them.
    """
    _show(context, set_sparse(context.workspace(), _encoded(patterns)), as_json=json)


def add(context: Context, patterns: _Patterns, *, quiet: Quiet = False, json: Json = False) -> None:
    """Check out these folders and files too."""
    _show(context, add_sparse(context.workspace(), _encoded(patterns)), as_json=json)


def list_(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """Show the patterns; nothing where everything is checked out."""
    patterns = sparse_patterns(context.workspace())
    if json:
        context.out.json("dsvc.sparse.list", {"patterns": [os.fsdecode(p) for p in patterns]})
        return
    for pattern in patterns:
        context.out.line(quote_path(pattern))
    if not patterns:
        context.out.note("The whole tree is checked out")


def disable(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """Check out everything again."""
    _show(context, set_sparse(context.workspace(), ()), as_json=json)


def reapply(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """Bring the working copy in line with the patterns, after changes were committed or files came back."""
    workspace = context.workspace()
    patterns = sparse_patterns(workspace)
    if not patterns:
        raise RequestError("the whole tree is checked out", hint="dsvc sparse set FOLDER...")
    _show(context, set_sparse(workspace, patterns), as_json=json)


def _encoded(patterns: Sequence[str]) -> list[bytes]:
    return [os.fsencode(pattern) for pattern in patterns]


def _show(context: Context, result: SparseResult, *, as_json: bool) -> None:
    for path in result.kept:
        context.out.warn(
            f"{quote_path(path)} was left as it is: it holds something that is not committed",
            hint="commit it, then: dsvc sparse reapply",
        )
    if as_json:
        context.out.json(
            "dsvc.sparse",
            {
                "patterns": [os.fsdecode(p) for p in result.patterns],
                "written": result.written,
                "removed": result.removed,
                "kept": [path_json(p) for p in result.kept],
            },
        )
        return
    context.out.note(f"{counted(result.written, 'file')} came into the working copy, {result.removed:,} left it")


SUBCOMMANDS = {"set": set_, "add": add, "list": list_, "disable": disable, "reapply": reapply}
