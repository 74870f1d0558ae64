"""The `dsvc import-url` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.import_url import import_url
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Jobs, Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.until_stopped import until_stopped
from dsvc.errors import UsageError


def command(
    context: Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://, gs://, az:// or https://.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="Where it is to stand; nothing is there yet.")],
    *,
    reference: Annotated[bool, typer.Option("--reference", help="Keep the address; fetch when asked for.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Store the content now (the default).")] = False,
    prefix: Annotated[bool, typer.Option("--prefix", help="All that lies in this folder of a bucket.")] = False,
    jobs: Jobs = 8,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import from a bucket or a web server, by copy or by reference.

    A copy goes straight into the store, without a temporary file, and is checked out. A reference keeps the address and
    what tells the present version from others (size, ETag, version id), and no content: 'dsvc data get' fetches it, and
    so does each command that reads it. The next commit takes what was imported; 'dsvc undo' takes the import back.
    Where a source breaks off, or Ctrl-C ends it, what came is kept, and the same command goes on after it, as long as
    the source still has that version; so it does after a kill, for objects of 8 MiB and more.

    Buckets are reached as the variables of their own programs say (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, AWS_PROFILE,
    GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and so on), web servers with the passwords in ~/.netrc.
    """
    if reference and copy:
        raise UsageError("--reference and --copy exclude each other")
    workspace = context.workspace()
    with until_stopped(once=True) as stopped:
        result = import_url(
            workspace,
            url,
            workspace.repo_path(path, context.directory),
            reference=reference,
            prefix=prefix,
            jobs=jobs,
            stopped=stopped.is_set,
        )
    if json:
        context.out.json(
            "dsvc.import-url",
            {
                **path_json(result.path),
                "address": result.address,
                "files": result.files,
                "size": result.size,
                "reference": result.reference,
                "folder_markers": result.markers,
            },
        )
        return
    what = counted(result.files, "reference" if result.reference else "file")
    context.out.note(f"Imported {what} of {human_size(result.size)} to {quote_path(result.path)}")
    if result.markers:
        context.out.note(f"Passed over {counted(result.markers, 'empty object')} that stand for folders")
