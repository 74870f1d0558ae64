"""The text in which a person writes the message of a commit, and what is taken from it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

from dsvc.actions.status import StatusResult
from dsvc.commands.count_text import counted
from dsvc.commands.status_text import status_lines
from dsvc.workspace import Workspace

_HELP: Final = """\
# Say what this commit does and why. Lines that begin with '#' are left out; an empty message ends the commit.\
"""
_CUT: Final = "# ------------------------ >8 ------------------------"
_CUT_HELP: Final = "# All below this line is left out, and it must stay as it is."
_LISTED: Final = 500  # lines of the status; more are not read in an editor
_SHOWN: Final = 1 << 20  # bytes of the differences


def message_template(
    workspace: Workspace,
    before: str,
    found: StatusResult,
    *,
    paths: Sequence[bytes] = (),
    verbose: bool = False,
    against: str = "HEAD",
) -> str:
    """What to edit: the message so far, help, what the commit takes, and if `verbose` the differences from a commit."""
    lines = [*([before] if before else []), "", _HELP, "#", *_status(found)]
    if verbose:
        lines += [_CUT, _CUT_HELP, _differences(workspace, paths, against)]
    return "\n".join(lines) + "\n"


def message_of(text: str) -> str:
    """The message in an edited template."""
    kept: list[str] = []
    for line in text.splitlines():
        if line == _CUT:
            break
        if not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept).strip()


def _status(found: StatusResult) -> Iterator[str]:
    text = "\n".join(status_lines(found, _plain, untracked=True))
    lines = text.split("\n")
    for line in lines[:_LISTED]:
        yield f"# {line}".rstrip()
    if len(lines) > _LISTED:
        yield f"# and {counted(len(lines) - _LISTED, 'line')} more"


def _plain(text: str, *_styles: str) -> str:
    return text


def _differences(workspace: Workspace, paths: Sequence[bytes], against: str) -> str:
    from dsvc.actions.diff import diff
    from dsvc.commands.diff_options import DiffForm
    from dsvc.commands.diff_text import print_patch
    from dsvc.commands.output import Output

    stream = io.BytesIO()
    out = Output(stream, io.BytesIO(), terminal=False, err_terminal=False)
    result = diff(workspace, () if against == "HEAD" else (against,), paths=paths)
    for number, file in enumerate(result.files):
        print_patch(out, file, result.sides, DiffForm(patch=True, text=True))
        left = len(result.files) - number - 1
        if stream.tell() > _SHOWN and left:
            out.line(f"The differences of {counted(left, 'more file')} are not shown")
            break
    return stream.getvalue().decode("utf-8", "replace")
