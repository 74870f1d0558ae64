"""The `dsvc data` commands."""

from __future__ import annotations

from dsvc.actions.data_get import data_get
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.data_usage import usage
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Jobs, Json, Paths, Quiet


def get(context: Context, paths: Paths = (), *, jobs: Jobs = 8, quiet: Quiet = False, json: Json = False) -> None:
    """Fetch the content of files that a partial clone left out, and check them out.

    Without paths that is all of the current commit. Files with changes stay as they are.
    """
    workspace = context.workspace()
    selected = [path for path in (workspace.repo_path(path, context.directory) for path in paths) if path]
    result = data_get(workspace, selected, jobs=jobs)
    if json:
        context.out.json(
            "dsvc.data.get",
            {
                "files": result.asked,
                "fetched": result.fetched,
                "content_bytes": result.size,
                "bytes": result.received.size,
                "checked_out": result.written,
            },
        )
        return
    if not result.fetched:
        context.out.note(f"The content of {counted(result.asked, 'file')} is here already")
    else:
        size = human_size(result.size)
        context.out.note(f"Fetched {counted(result.fetched, 'file')} of {size}: {human_size(result.received.size)}")
    if result.written:
        context.out.note(f"Checked out {counted(result.written, 'file')}")


SUBCOMMANDS = {"get": get, "usage": usage}
