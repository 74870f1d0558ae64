"""Lines to show for two versions of a short text inside a file."""

from __future__ import annotations

from collections.abc import Iterator

from dsvc.contents.driver import Line, Tone
from dsvc.contents.text_diff import unified

_TONES: dict[str, Tone] = {" ": "same", "-": "removed", "+": "added"}


def text_lines(old: str, new: str, *, context: int, indent: str = "  ", most: int | None = None) -> Iterator[Line]:
    """Yield the lines in which two texts differ with those around; `most` limits how many, and the last says so.

    Parts that were left out between them are shown as one dim line.
    """
    sides = [_ended(text).encode("utf-8", "surrogatepass") for text in (old, new)]
    count = 0
    diff = unified(sides[0], sides[1], old_name=b"", new_name=b"", context=context)
    if diff.binary:
        yield Line("dim", f"{indent}binary text")
        return
    total = sum(len(hunk.lines) for hunk in diff.hunks)
    for number, hunk in enumerate(diff.hunks):
        if number:
            yield Line("dim", f"{indent} ...")
        for origin, text in hunk.lines:
            count += 1
            if most is not None and count > most and total > most + 1:
                yield Line("dim", f"{indent} ... {total - count + 1} more lines")
                return
            shown = text.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
            yield Line(_TONES[origin], f"{indent}{origin}{shown}".rstrip())


def whole(text: str, tone: Tone, *, indent: str = "  ", most: int | None = None) -> Iterator[Line]:
    """Yield a text that one side does not have."""
    lines = text.splitlines()
    sign = {"added": "+", "removed": "-"}.get(tone, " ")
    shown = lines if most is None or len(lines) <= most + 1 else lines[:most]
    for line in shown:
        yield Line(tone, f"{indent}{sign}{line}".rstrip())
    if len(shown) < len(lines):
        yield Line("dim", f"{indent} ... {len(lines) - len(shown)} more lines")


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"
