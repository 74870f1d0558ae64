"""The `dsvc export` command."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, cast

import typer

from dsvc.actions.export import export, format_of
from dsvc.actions.revision import revision_context
from dsvc.commands.arguments import repo_paths
from dsvc.commands.context import Context
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Json, Quiet
from dsvc.commands.output import Output
from dsvc.commands.path_text import path_json, quote_path


def command(
    context: Context,
    revision: Annotated[str, typer.Argument(metavar="REV", help="A commit, or a folder of one as REV:DIR.")],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="A new folder or archive; - is stdout.")],
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATH]...", help="Only these files and folders.")] = (),
    *,
    form: Annotated[
        Literal["dir", "tar", "tar.gz", "zip"] | None, typer.Option("--format", help="What to write.")
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", metavar="DIR/", help="Put this before all names.")] = "",
    force: Annotated[bool, typer.Option("-f", "--force", help="Write into a folder that is not empty.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the files of a commit to a folder.

    Or to an archive: DEST.tar, DEST.tar.gz and DEST.zip are archives, and have the same bytes each time because all
    times are that of the commit. A folder that is not empty is refused without --force, which replaces files of the
    same names and leaves others alone. A dataset of ZFS is read from a clone of its snapshot.
    """
    del quiet
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    to_stdout = destination == "-"
    chosen = form if form is not None else "tar" if to_stdout else format_of(destination)
    target: Path | BinaryIO = context.directory / destination
    if to_stdout:
        target = cast(BinaryIO, _Stdout(context.out))
    result = export(
        workspace,
        revision,
        target,
        form=chosen,
        paths=repo_paths(context, workspace, paths),
        prefix=prefix.encode("utf-8", "surrogateescape"),
        force=force,
        context=revisions,
    )
    for path in result.left_out:
        if path in workspace.left_out:
            continue  # purged: who did that and why is told at the end
        context.out.warn(f"{quote_path(path)} was left out: its content is not in this repository")
    if json and not to_stdout:
        left_out = [path_json(path) for path in result.left_out]
        facts = {"tree": result.tree_id.hex(), "format": result.format, "files": result.files, "size": result.size}
        context.out.json("dsvc.export", {**facts, "left_out": left_out})
        return
    files = f"{result.files} file{'s' if result.files != 1 else ''}"
    context.out.note(f"Exported {files}, {human_size(result.size)}, to {'stdout' if to_stdout else destination}")


class _Stdout(io.RawIOBase):
    """The results of a command as a file that is written forward."""

    def __init__(self, out: Output) -> None:
        super().__init__()
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        raw = bytes(data)  # type: ignore[call-overload]
        self._out.raw(raw)
        return len(raw)
