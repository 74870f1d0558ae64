"""What is said once about large files that are stored a second time."""

from __future__ import annotations

from dsvc.actions.copied_once import copies_to_tell
from dsvc.commands.context import Context
from dsvc.workspace import Workspace


def tell_copies(context: Context, workspace: Workspace, stored: int) -> None:
    """Say it, when `stored` bytes were just taken in and nobody was told yet."""
    why = copies_to_tell(workspace, stored)
    if why == "disk":
        context.out.note(
            "This disk cannot share blocks between files: files of 8 MiB and more are stored a second time.\n"
            "With 'dsvc init --whole-files' and 'dsvc config store.link hardlink' it is one read-only file. Said once."
        )
    elif why == "format":
        context.out.note(
            "Files of 8 MiB and more are stored a second time, which this disk could spare: 'dsvc init --whole-files'\n"
            "lets this repository share their blocks. Said once."
        )
    elif why == "link":
        context.out.note(
            "Files of 8 MiB and more are stored a second time: store.link says hardlink, and this repository was made\n"
            "without. 'dsvc init --whole-files' lets it have one read-only file of each. Said once."
        )
