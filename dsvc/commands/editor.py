"""Lets a person edit a text in the editor of their choice."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dsvc.errors import RequestError


class EditorError(RequestError):
    """The editor is not known or failed."""


def editor_command(configured: str | None, environment: Mapping[str, str]) -> str:
    """The editor's command line: DSVC_EDITOR, core.editor, VISUAL, EDITOR or vi.

    VISUAL and vi need a terminal that can place the cursor; raises EditorError where nothing is left.
    """
    smart = environment.get("TERM", "dumb") != "dumb"
    command = (
        environment.get("DSVC_EDITOR")
        or configured
        or (environment.get("VISUAL") if smart else None)
        or environment.get("EDITOR")
        or ("vi" if smart else None)
    )
    if command is None:
        raise EditorError("no editor is configured", hint="set one with 'dsvc config --user core.editor PROGRAM'")
    return command


def edit_file(path: Path, command: str, *, environment: Mapping[str, str]) -> None:
    """Run the editor `command` on the file `path`; raises EditorError where it fails."""
    try:
        code = subprocess.run(
            ["/bin/sh", "-c", f'{command} "$@"', command, os.fspath(path)], env=dict(environment), check=False
        ).returncode
    except OSError as error:
        raise EditorError(f"the editor {command!r} could not be started: {error.strerror}") from error
    if code != 0:
        raise EditorError(f"the editor {command!r} ended with exit code {code}", hint="nothing was changed")


def edit_text(text: str, command: str, *, suffix: str, environment: Mapping[str, str]) -> str:
    """What the editor `command` makes of `text`, by way of a temporary file."""
    descriptor, name = tempfile.mkstemp(prefix="dsvc-", suffix=suffix)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        edit_file(path, command, environment=environment)
        return path.read_text(encoding="utf-8", errors="replace")
    finally:
        path.unlink(missing_ok=True)
