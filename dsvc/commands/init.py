"""The `dsvc init` command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.init import init_repository
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet


def command(
    context: Context,
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where; it is made if missing.")] = Path(),
    *,
    initial_branch: Annotated[
        str | None, typer.Option("-b", "--initial-branch", metavar="NAME", help="Name of the first branch.")
    ] = None,
    whole_files: Annotated[
        bool,
        typer.Option(
            "--whole-files", help="Let it keep large files whole, also one that exists; older versions refuse it then."
        ),
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make a repository in a folder.

    Everything dsvc keeps lies in the folder .dsvc. A default .dsvcignore is written where there is none, so that
    virtual environments, caches and keys stay out. Safe to run again.

    On a disk that clones files (btrfs, XFS, ZFS 2.2, APFS) a new repository keeps files of 8 MiB and more whole: they
    share their blocks with the working copy and are not written twice.
    """
    branch = initial_branch or context.config().get_str("init.defaultBranch") or "main"
    result = init_repository(
        Path(os.path.abspath(folder)), branch=branch, surroundings=context.surroundings(), whole_files=whole_files
    )
    if json:
        context.out.json(
            "dsvc.init",
            {
                "path": str(result.private),
                "branch": result.branch,
                "existed": result.existed,
                "whole_files": result.whole_files,
            },
        )
        return
    what = "There is a dsvc repository already in" if result.existed else "Made an empty dsvc repository in"
    if not quiet:
        context.out.line(f"{what} {result.private}")
    if result.wrote_ignore:
        context.out.note("Wrote .dsvcignore: it keeps environments, caches and keys out. Edit it as you like.")
