"""How two texts differ by lines, and the unified form in which git shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from dsvc.contents.kinds import is_binary

if TYPE_CHECKING:
    import pygit2

Algorithm = Literal["myers", "minimal", "patience"]
Origin = Literal[" ", "-", "+"]


class Hunk(NamedTuple):
    """A run of changed lines with the unchanged ones around it.

    Lines count from 1; a side without lines names the line before (0 at the top), as in git. `header` is the
    nearest line above that starts a function or section, or empty. Each line of `lines` keeps its line end.
    """

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    header: bytes
    lines: tuple[tuple[Origin, bytes], ...]


class TextDiff(NamedTuple):
    """The difference of two files; a side that does not exist has no name. Binary files have no hunks."""

    old_name: bytes | None
    new_name: bytes | None
    hunks: tuple[Hunk, ...]
    added: int
    removed: int
    binary: bool = False


class LineRange(NamedTuple):
    """Lines of the old text that others of the new one replaced; counted from 0, starts exact, sizes may be 0."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int


def unified(
    old: bytes | None,
    new: bytes | None,
    *,
    old_name: bytes,
    new_name: bytes,
    context: int = 3,
    ignore_whitespace: bool = False,
    algorithm: Algorithm = "myers",
) -> TextDiff:
    """Compare two texts by lines as `git diff` does; None stands for a file that does not exist.

    `context` is how many unchanged lines stand around a change, `ignore_whitespace` is git's `-w`. Where a side
    is binary the result has `binary` set and no hunks. Equal texts have no hunks either.
    """
    named = old_name if old is not None else None, new_name if new is not None else None
    if is_binary(old or b"") or is_binary(new or b""):
        return TextDiff(*named, hunks=(), added=0, removed=0, binary=old != new)
    if old == new:
        return TextDiff(*named, hunks=(), added=0, removed=0)
    texts = (old or b"", new or b"") if context else _without_common_tail(old or b"", new or b"")
    patch = _patch(*texts, context, ignore_whitespace=ignore_whitespace, algorithm=algorithm)
    _, added, removed = patch.line_stats
    return TextDiff(*named, hunks=tuple(_hunks(patch.data)), added=added, removed=removed)


def line_counts(old: bytes | None, new: bytes | None, *, ignore_whitespace: bool = False) -> tuple[int, int]:
    """Return how many lines were added and removed, as `git diff --numstat` counts; binary files count none."""
    if old == new or is_binary(old or b"") or is_binary(new or b""):
        return 0, 0
    _, added, removed = _patch(old or b"", new or b"", 0, ignore_whitespace=ignore_whitespace).line_stats
    return added, removed


def changed_ranges(old: bytes, new: bytes) -> list[LineRange]:
    """Return which lines changed between two texts, in order; all lines outside are equal and in step.

    The ranges are those of `git diff -U0` and of git's blame.
    """
    if old == new:
        return []
    ranges = []
    for hunk in _patch(*_without_common_tail(old, new), 0).hunks:
        # a side without lines is numbered by the line before it
        old_start = hunk.old_start - 1 if hunk.old_lines else hunk.old_start
        new_start = hunk.new_start - 1 if hunk.new_lines else hunk.new_start
        ranges.append(LineRange(old_start, hunk.old_lines, new_start, hunk.new_lines))
    return ranges


def render(diff: TextDiff) -> bytes:
    """Write a difference in git's unified form, from the `---` line on; nothing when there is none.

    The lines before it (`diff --git`, modes, renames) tell what the trees know and are the caller's.
    """
    old_side, new_side = _side(b"a/", diff.old_name), _side(b"b/", diff.new_name)
    if diff.binary:
        return b"Binary files %s and %s differ\n" % (old_side, new_side)
    if not diff.hunks:
        return b""
    parts = [b"--- %s%s\n" % (old_side, _tab(diff.old_name)), b"+++ %s%s\n" % (new_side, _tab(diff.new_name))]
    for hunk in diff.hunks:
        parts.append(hunk_header(hunk))
        for origin, text in hunk.lines:
            parts.append(origin.encode() + text)
            if not text.endswith(b"\n"):
                parts.append(b"\n\\ No newline at end of file\n")
    return b"".join(parts)


def hunk_header(hunk: Hunk) -> bytes:
    """Return the `@@` line of a hunk, with its line end."""
    old, new = _span(hunk.old_start, hunk.old_lines), _span(hunk.new_start, hunk.new_lines)
    section = b" " + hunk.header if hunk.header else b""
    return b"@@ -%s +%s @@%s\n" % (old, new, section)


def quoted_name(name: bytes) -> bytes:
    """Write a path in double quotes with git's escapes where it holds odd bytes; letters of UTF-8 stay as they are.

    So does git with core.quotePath off, and 'git apply' and 'patch' read both. Octal is for bytes that are not UTF-8
    and for what cannot be seen.
    """
    try:
        odd = _ODD if all(c.isprintable() for c in name.decode() if ord(c) > _ASCII) else _ODD_OR_HIGH
    except UnicodeDecodeError:
        odd = _ODD_OR_HIGH
    if not odd.search(name):
        return name
    return b'"' + odd.sub(_escape, name) + b'"'


_TAIL_BLOCK = 1024
_ASCII = 127
_ODD = re.compile(rb'[\x00-\x1f\x7f"\\]')
_ODD_OR_HIGH = re.compile(rb'[\x00-\x1f\x7f-\xff"\\]')
_LETTERS = {7: b"a", 8: b"b", 9: b"t", 10: b"n", 11: b"v", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)", re.DOTALL)
_ORIGINS: dict[bytes, Origin] = {b" ": " ", b"-": "-", b"+": "+"}


def _escape(found: re.Match[bytes]) -> bytes:
    byte = found[0][0]
    return b"\\" + _LETTERS.get(byte, b"%03o" % byte)


def _side(prefix: bytes, name: bytes | None) -> bytes:
    return b"/dev/null" if name is None else quoted_name(prefix + name)


def _tab(name: bytes | None) -> bytes:
    # a name with a space is ended by a tab, so that readers which stop at white space find its end
    return b"\t" if name is not None and b" " in name else b""


def _span(start: int, count: int) -> bytes:
    return b"%d" % start if count == 1 else b"%d,%d" % (start, count)


def _patch(
    old: bytes, new: bytes, context: int, *, ignore_whitespace: bool = False, algorithm: Algorithm = "myers"
) -> pygit2.Patch:
    import pygit2

    flag = pygit2.enums.DiffOption
    # NUL after the first 8000 bytes is text to git; the indent heuristic is git's default
    options = flag.FORCE_TEXT | flag.INDENT_HEURISTIC
    if ignore_whitespace:
        options |= flag.IGNORE_WHITESPACE
    if algorithm != "myers":
        options |= flag.MINIMAL if algorithm == "minimal" else flag.PATIENCE
    return pygit2.Patch.create_from(old, new, "text", "text", options, context)


def _without_common_tail(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Cut off the common end of two texts in blocks of 1 KiB, as git does before it compares without context.

    It saves time, and it decides which of many equal lines counts as new.
    """
    shorter = min(len(old), len(new))
    tail = 0
    while tail + _TAIL_BLOCK <= shorter:
        block = slice(-tail - _TAIL_BLOCK, -tail or None)
        if old[block] != new[block]:
            break
        tail += _TAIL_BLOCK
    if tail:  # keep what is left of the line in which the cut falls
        line_end = old.find(b"\n", len(old) - tail)
        tail = len(old) - line_end - 1 if line_end >= 0 else 0
    return old[: len(old) - tail], new[: len(new) - tail]


def _hunks(patch: bytes) -> Iterator[Hunk]:
    """Read the hunks of a patch; pygit2's own hunk objects decode section headers as text and so lose bytes."""
    numbers: tuple[int, int, int, int] | None = None
    header = b""
    lines: list[tuple[Origin, bytes]] = []
    for line in patch.split(b"\n"):
        kind = line[:1]
        if kind == b"@":
            if numbers is not None:
                yield Hunk(*numbers, header=header, lines=tuple(lines))
            found = _HUNK.match(line)
            assert found is not None
            numbers = int(found[1]), int(found[2] or 1), int(found[3]), int(found[4] or 1)
            header, lines = found[5], []
        elif numbers is None:
            continue
        elif kind == b"\\":
            origin, text = lines[-1]
            lines[-1] = origin, text[:-1]
        elif kind:
            lines.append((_ORIGINS[kind], line[1:] + b"\n"))
    if numbers is not None:
        yield Hunk(*numbers, header=header, lines=tuple(lines))
