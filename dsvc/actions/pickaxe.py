"""Which of the changed files gained or lost a text: `log -S` and `log -G`."""

from __future__ import annotations

import re
from collections.abc import Callable

from dsvc.actions.filediff import TEXT_LIMIT, FileDiff, Sides
from dsvc.contents.kinds import is_binary
from dsvc.contents.text_diff import changed_ranges
from dsvc.errors import UsageError

Pickaxe = Callable[[FileDiff, Sides], bool]


def occurrences_of(text: str, *, pattern: bool = False, ignore_case: bool = False) -> Pickaxe:
    """Return the test for files in which a text, or with `pattern` a regular expression, occurs more or less often.

    Raises:
        UsageError: for a pattern that is not valid.
    """
    wanted = _compiled(text if pattern else re.escape(text), ignore_case=ignore_case)

    def count(content: bytes) -> int:
        if not pattern and not ignore_case:
            return content.count(text.encode("utf-8", "surrogateescape"))
        return sum(1 for _ in wanted.finditer(content))

    def test(file: FileDiff, sides: Sides) -> bool:
        return count(_old(file, sides) or b"") != count(_new(file, sides) or b"")

    return test


def changed_lines_with(pattern: str, *, ignore_case: bool = False) -> Pickaxe:
    """Return the test for text files of which an added or removed line matches a regular expression.

    Raises:
        UsageError: for a pattern that is not valid.
    """
    wanted = _compiled(pattern, ignore_case=ignore_case)

    def test(file: FileDiff, sides: Sides) -> bool:
        old, new = _old(file, sides) or b"", _new(file, sides) or b""
        if is_binary(old) or is_binary(new):
            return False
        old_lines, new_lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
        return any(
            any(map(wanted.search, old_lines[c.old_start : c.old_start + c.old_lines]))
            or any(map(wanted.search, new_lines[c.new_start : c.new_start + c.new_lines]))
            for c in changed_ranges(old, new)
        )

    return test


def _compiled(pattern: str, *, ignore_case: bool) -> re.Pattern[bytes]:
    try:
        return re.compile(pattern.encode("utf-8", "surrogateescape"), re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a valid pattern: {error}") from error


def _old(file: FileDiff, sides: Sides) -> bytes | None:
    if file.old is None or file.old.size > TEXT_LIMIT:
        return None
    return sides.old_or_none(file.old_path, file.old)


def _new(file: FileDiff, sides: Sides) -> bytes | None:
    if file.new is None or file.new.size > TEXT_LIMIT:
        return None
    return sides.new_or_none(file.path, file.new)
