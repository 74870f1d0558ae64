"""The `dsvc clone` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.clone import clone
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.fetch import fetch_json
from dsvc.commands.options import Jobs, Json, LimitRate, MapNames, NoRuns, Quiet, runs_wanted
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.remote_keys import Encrypt, KeyFilePath, sealed_options
from dsvc.commands.single_writer import SingleWriter, single_writer_options
from dsvc.config.keys import Value
from dsvc.errors import UsageError
from dsvc.refs.names import short_name
from dsvc.repo.tombstones import purged_text
from dsvc.worktree.content_filter import parse_filter


def command(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="ADDRESS", help="A folder, ssh://, user@host:folder or s3://.")],
    target: Annotated[str | None, typer.Argument(metavar="[FOLDER]", help="The new folder; else its name.")] = None,
    *,
    branch: Annotated[str | None, typer.Option("-b", "--branch", metavar="NAME", help="Branch or tag.")] = None,
    origin: Annotated[str, typer.Option("-o", "--origin", metavar="NAME", help="Name of the remote.")] = "origin",
    single_branch: Annotated[bool, typer.Option("--single-branch", help="Fetch only the branch to stand on.")] = False,
    no_single_branch: Annotated[bool, typer.Option("--no-single-branch", help="With --depth: all branches.")] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", metavar="N", min=1, help="Only the newest N commits of the branch.")
    ] = None,
    no_checkout: Annotated[bool, typer.Option("-n", "--no-checkout", help="Write no files.")] = False,
    map_names: MapNames = False,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Fetch no tags.")] = False,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Fetch small files (256 KiB) of what is checked out, no larger ones.")
    ] = False,
    bare_history: Annotated[bool, typer.Option("--bare-history", help="Fetch commits and no content.")] = False,
    filters: Annotated[
        Sequence[str], typer.Option("--filter", metavar="WHAT", help="Fetch content of paths, or of up to size:N.")
    ] = (),
    runs: Annotated[bool, typer.Option("--runs", help="With --depth: runs and models too.")] = False,
    no_runs: NoRuns = False,
    encrypt: Encrypt = False,
    file: KeyFilePath = None,
    single_writer: SingleWriter = False,
    jobs: Jobs = 8,
    limit_rate: LimitRate = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make a repository that has what a remote has, and follows it.

    All branches, tags and runs come along, and the remote's default branch is checked out. A clone that is broken off
    keeps what has arrived: the same command goes on with it.

    With --depth it is a shallow clone: older commits are left out, and so are other branches and runs, unless they are
    asked for. 'dsvc fetch --deepen N' and 'dsvc fetch --unshallow' bring more.

    With --no-data, --bare-history or --filter it is a partial clone: all of the history comes along, and of the files
    only what is checked out and wanted. Commands fetch what they need of the rest; files that are left out are absent,
    which is not deleted, and 'dsvc data get PATH' brings them.

    A push to a store that ignores conditions on writes is refused, since two who write at once would overwrite each
    other; --single-writer is your word that nobody but this clone writes there from now on.
    """
    if no_data + bare_history + bool(filters) > 1:
        raise UsageError("--no-data, --bare-history and --filter exclude each other")
    wanted = ("no-data",) if no_data else ("history",) if bare_history else tuple(filters)
    parse_filter(wanted)
    options: dict[str, Value] = {"filter": wanted} if wanted else {}
    if runs_wanted(runs=runs, no_runs=no_runs) is False:
        options["runs"] = False
    elif depth is not None and not runs:
        options["runs"] = "push"
    options |= sealed_options(context, encrypt=encrypt, file=file)
    options |= single_writer_options(context, source, single_writer=single_writer)
    name = source.rstrip("/").removesuffix("/.dsvc").removesuffix(".bundle").rpartition("/")[2].rpartition(":")[2]
    folder = target or name
    if not target and name in ("", ".", "..", "~"):
        raise UsageError(f"where to? {source} gives no name for a folder", hint=f"dsvc clone {source} FOLDER")
    context.limit_rate(limit_rate)
    result = clone(
        source,
        context.directory / folder,
        directory=context.directory,
        config=context.config(),
        surroundings=context.surroundings(),
        remote=origin,
        branch=branch,
        single_branch=single_branch or (depth is not None and not no_single_branch),
        depth=depth,
        make_checkout=not (no_checkout or bare_history),
        map_names=map_names,
        tags=not no_tags,
        options=options,
        jobs=jobs,
        progress=context.progress,
    )
    where = short_name(result.branch) if result.branch else None
    commit = result.commit_id.hex() if result.commit_id else None
    if json:
        document = {
            "path": str(result.path),
            "branch": where,
            "commit": commit,
            "resumed": result.resumed,
            "upstream": result.upstream,
            "left_out": [
                {**path_json(path), "id": note.file_id.hex(), "user": note.user, "reason": note.reason}
                for path, note in result.left_out
            ],
        }
        context.out.json("dsvc.clone", {**document, "fetched": fetch_json(result.fetched)})
        return
    context.out.line(str(result.path))
    received = result.fetched.received
    at = f"on {where}" if where else f"at {commit[:10]}" if commit else "of an empty repository"
    verb = "Went on cloning" if result.resumed else "Cloned"
    objects = counted(received.objects, "object")
    context.out.note(f"{verb} {result.fetched.address} {at}: {objects}, {human_size(received.size)}")
    for path, note in result.left_out:
        context.out.warn(f"{quote_path(path)} is left out: its content was {purged_text(note)}")
    if result.upstream is not None:
        context.out.note(f"It is a fork of {result.upstream}, the remote 'upstream': dsvc sync --from upstream")
