"""The `dsvc data` commands."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dsvc.actions.data_add import add_dataset
from dsvc.actions.data_get import data_get
from dsvc.actions.data_index import check_out_files, index_datasets
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.data_content import drop, list_, update, where
from dsvc.commands.data_usage import usage
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Jobs, Json, Paths, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import UsageError
from dsvc.zfs.errors import user_name


def get(
    context: Context,
    paths: Paths = (),
    *,
    pin: Annotated[bool, typer.Option("--pin", help="Commit ordinary files in the place of references.")] = False,
    files: Annotated[
        bool, typer.Option("--files", help="Check out indexed datasets as plain files: for machines without ZFS.")
    ] = False,
    jobs: Jobs = 8,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fetch content that is not here, of a partial clone and of references, and check it out.

    Without paths that is all of the current commit. Files with changes stay as they are. A reference stays one in
    history: what was fetched of it is compared with its size and ETag, and what it was found to be is noted beside
    history. With --pin a new commit has the content itself in its place. Of folders that ZFS keeps,
    the snapshots of all branches are received from the remote, and mounted: below the dataset zfs.parent where nothing
    else says in which pool.
    """
    workspace = context.workspace()
    selected = [path for path in (workspace.repo_path(path, context.directory) for path in paths) if path]
    if files:
        if not selected:
            raise UsageError("--files needs the folders of the datasets", hint="dsvc data get --files FOLDER")
        check_out_files(workspace, selected)
    result = data_get(workspace, selected, jobs=jobs, pin=pin, offline=context.offline)
    if json:
        context.out.json(
            "dsvc.data.get",
            {
                "files": result.asked,
                "fetched": result.fetched,
                "references": result.references,
                "content_bytes": result.size,
                "bytes": result.received.size,
                "checked_out": result.written,
                "commit": result.commit_id.hex() if result.commit_id is not None else None,
                "snapshots": len(result.snapshots.received),
                "snapshot_bytes": result.snapshots.size,
                "mounted": [path_json(path) for path in result.snapshots.mounted],
            },
        )
        return
    got = result.snapshots
    if got.received:
        context.out.note(f"Received {counted(len(got.received), 'snapshot')}: {human_size(got.size)}")
    for path in got.mounted:
        context.out.note(f"{quote_path(path)} is a dataset of ZFS here now")
    if not result.fetched and not result.asked and (got.received or got.mounted):
        return
    if not result.fetched:
        context.out.note(f"The content of {counted(result.asked, 'file')} is here already")
    else:
        moved = f": {human_size(result.received.size)}" if result.received.size else ""
        context.out.note(f"Fetched {counted(result.fetched, 'file')} of {human_size(result.size)}{moved}")
    if result.written:
        context.out.note(f"Checked out {counted(result.written, 'file')}")
    if result.commit_id is not None:
        context.out.note(f"Committed their content as {result.commit_id.hex()[:10]}")


def add(
    context: Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The folder.")],
    *,
    zfs: Annotated[
        str | None, typer.Option("--zfs", metavar="DATASET", help="The dataset; made where there is none of that name.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Let ZFS keep a folder: commits take snapshots of it, and nothing in it is read or copied.

    Without --zfs that is the dataset which is mounted at the folder. One that is mounted nowhere is mounted there.
    """
    workspace = context.workspace()
    result = add_dataset(workspace, workspace.repo_path(path, context.directory), dataset=zfs)
    if json:
        context.out.json(
            "dsvc.data.add",
            {
                **path_json(result.path),
                "dataset": result.dataset,
                "created": result.created,
                "guid": result.snapshot.guid,
                "size": result.snapshot.size,
                "id": result.entry.id.hex(),
            },
        )
        return
    made = "the new dataset" if result.created else "the dataset"
    size = human_size(result.snapshot.size)
    context.out.note(f"{quote_path(result.path)} is {made} {result.dataset} ({size}): 'dsvc commit' takes its snapshot")
    if not os.access(workspace.place(result.path), os.W_OK):
        shown = quote_path(result.path)
        context.out.warn(f"{shown} belongs to root, as ZFS made it", hint=f"sudo chown {user_name()} {shown}")


def index(context: Context, paths: Paths = (), *, quiet: Quiet = False, json: Json = False) -> None:
    """Store the files of datasets too, and commit that.

    The new commit can then be checked out as plain files where there is no ZFS (dsvc data get --files). Every file is
    read once; where an earlier commit is indexed, the files alone that were written to since. Without paths all
    datasets are indexed.
    """
    workspace = context.workspace()
    selected = [path for path in (workspace.repo_path(path, context.directory) for path in paths) if path]
    result = index_datasets(workspace, selected)
    if json:
        context.out.json(
            "dsvc.data.index",
            {
                "commit": result.commit.commit_id.hex(),
                "paths": [path_json(path) for path in result.paths],
                "files": result.files,
                "bytes": result.size,
                "unchanged": result.unchanged,
            },
        )
        return
    shown = ", ".join(quote_path(path) for path in result.paths)
    kept = f"; {counted(result.unchanged, 'file')} unchanged" if result.unchanged else ""
    context.out.note(f"Indexed {counted(result.files, 'file')} of {shown}: {human_size(result.size)}{kept}")


SUBCOMMANDS = {
    "list": list_,
    "add": add,
    "get": get,
    "drop": drop,
    "update": update,
    "where": where,
    "index": index,
    "usage": usage,
}
