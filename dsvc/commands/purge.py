"""The `dsvc purge` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.purge import (
    files_at,
    files_on_remote,
    is_on_remote,
    purge,
    purge_remote,
    purged_list,
    tombstone_signer,
)
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.revision import tree_of
from dsvc.commands.context import Context
from dsvc.commands.date_text import iso_text
from dsvc.commands.options import Jobs, Json, Quiet, Yes
from dsvc.commands.path_text import quote_path
from dsvc.commands.signature_text import GpgSign, chosen_sign, verdict_json, verdict_lines
from dsvc.errors import RequestError, UsageError
from dsvc.objects import trees
from dsvc.objects.ids import HEX_LENGTH, FileId, parse_id
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.remotes.settings import RemoteSettings
from dsvc.repo.tombstones import purged_text
from dsvc.workspace import Workspace


def command(
    context: Context,
    targets: Annotated[
        Sequence[str], typer.Argument(metavar="[PATH|ID]...", help="A path in all commits, REV:PATH, or a file's id.")
    ] = (),
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the ids.")] = "",
    remote: Annotated[
        str | None,
        typer.Option("--remote", metavar="[NAME]", help="From a remote too, NAME or the usual one."),
    ] = None,
    forks: Annotated[
        bool, typer.Option("--forks", help="With --remote: from all its forks too, and from what it was forked from.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List what was erased, by whom and why, and check the signatures.")
    ] = False,
    gpg_sign: GpgSign = None,
    no_gpg_sign: Annotated[bool, typer.Option("--no-gpg-sign", "--no-sign", help="Leave the note unsigned.")] = False,
    jobs: Jobs = 8,
    yes: Yes = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Erase the content of files from the whole history: keys, personal data.

    Commits and ids stay as they are; where such a file stood there is a note of who erased it, when and why, which is
    signed where user.signingKey or -S names a key. This cannot be undone. The working copy, forks, clones and backups
    are not touched: a key that was published must be changed all the same.

    With --remote the content is erased there too, and the note is left there: others get it with their next fetch,
    and cannot push the content again. Their clones keep what they have until they purge it; new clones leave such
    files out and say why. Forks that share packs with the remote keep their copy unless --forks is given.
    """
    if listing:
        _list(context, [*targets])
        return
    if not targets:
        raise UsageError("which files?", hint="dsvc purge PATH --reason TEXT, or dsvc purge --list")
    if forks and remote is None:
        raise UsageError("--forks goes with --remote", hint="dsvc purge PATH --remote NAME --forks --reason TEXT")
    if not reason.strip():
        raise UsageError("say why, for those who look for the file later", hint="dsvc purge PATH --reason TEXT")
    workspace = context.workspace()
    settings = None if remote is None else choose_remote(workspace, remote or None, directory=context.directory)
    files: set[FileId] = set()
    for target in targets:
        files |= _files(context, workspace, target, settings, jobs)
    count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    where = f" here and on {settings.shown}{' and its forks' if forks else ''}" if settings is not None else ""
    if files and not yes and not context.ask(f"Erase the content of {count} from all of history{where}?"):
        raise RequestError(
            f"nothing was erased: it would be the content of {count}, for good",
            hint="the same command with --yes does it",
            details={"files": sorted(file_id.hex() for file_id in files)},
        )
    shown = ", ".join(targets[:3]) + (" …" if len(targets) > 3 else "")
    sign = tombstone_signer(workspace, chosen_sign(context, gpg_sign, no_sign=no_gpg_sign))
    act = workspace.act("purge", f"purge: {shown.encode('utf-8', 'replace').decode()}")
    there = None
    if settings is not None:
        there = purge_remote(
            workspace, settings, files, reason=reason.strip(), act=act, sign=sign, forks=forks, jobs=jobs
        )
    result = purge(workspace.repo, files, reason=reason.strip(), act=act, sign=sign, progress=context.progress)
    present = [path for path, e in trees.walk(workspace.repo.store, workspace.head_tree()) if e.id in files]
    if json:
        context.out.json(
            "dsvc.purge",
            {
                "files": [file_id.hex() for file_id in result.files],
                "objects": result.objects,
                "packs": result.packs,
                "chunks_shared": result.shared,
                "remote": settings.shown if settings is not None else None,
                "remote_objects": there.objects if there is not None else None,
                "remote_packs": there.packs if there is not None else None,
                "remote_repositories": there.repositories if there is not None else None,
            },
        )
    else:
        for file_id in result.files:
            context.out.line(f"purged {file_id.hex()}")
    shared = max(result.shared, there.shared if there is not None else 0)
    if shared:
        context.out.warn(f"{shared} pieces stay, because other files hold them too")
    for path in present[:10]:
        context.out.warn(
            f"{quote_path(path)} still stands in HEAD and cannot be checked out any more",
            hint="remove or replace it and commit",
        )


def _list(context: Context, targets: list[str]) -> None:
    if targets:
        raise UsageError("--list takes no files; it lists everything that was erased")
    rows: list[dict[str, Any]] = []
    for found in purged_list(context.workspace()):
        tombstone = found.tombstone
        if context.out.as_json:
            rows.append(
                {
                    "id": tombstone.file_id.hex(),
                    "user": tombstone.user,
                    "time": iso_text(tombstone.time, tombstone.zone),
                    "reason": tombstone.reason,
                    "signature": verdict_json(found.verdict),
                }
            )
            continue
        context.out.line(f"{tombstone.file_id.hex()} {purged_text(tombstone)}")
        if found.verdict.status != "none":
            for line in verdict_lines(found.verdict, context.out):
                context.out.line(f"  {line}")
    if context.out.as_json:
        context.out.json("dsvc.purge.list", {"files": rows})


def _files(
    context: Context, workspace: Workspace, target: str, settings: RemoteSettings | None, jobs: int
) -> set[FileId]:
    if len(target) == HEX_LENGTH:
        file_id = parse_id(target)
        known = workspace.repo.store.has_file(file_id)
        if not known and not (settings is not None and is_on_remote(workspace, settings, file_id)):
            raise RequestError(f"there is no file {target} in the store", hint="dsvc ls -l REV lists files with ids")
        return {FileId(file_id)}
    if ":" in target and not (context.directory / target).exists():
        revision, _, path = target.partition(":")
        store = workspace.repo.store
        entry = trees.lookup(store, tree_of(workspace, revision or "HEAD"), path.encode("utf-8", "surrogateescape"))
        if entry is None:
            raise RequestError(f"there is no file {target}", hint=f"dsvc ls {revision or 'HEAD'}")
        below = [e for _, e in trees.walk(store, entry.id)] if entry.kind == EntryKind.TREE else [entry]
        return {FileId(parse_id(e.id.hex())) for e in below if e.kind in CONTENT_KINDS}
    place = workspace.repo_path(target, context.directory)
    found = files_at(workspace.repo, [place])
    if settings is not None:
        found |= files_on_remote(workspace, settings, [place], jobs=jobs)
    if not found:
        raise RequestError(f"no commit has a file at {target}", hint="dsvc log -- PATH shows which commits touch it")
    return found
