"""The lines of an ignore file: one rule a line, and the glob of a rule as a regular expression.

The grammar is git's, quirks included (see docs/design/0004-ignore-rules.md for how that was checked). Three things
are easy to miss: the literal head of a pattern with a slash is compared apart from the rest, so `**` counts as a
component of its own right after that head (`/foo**` matches `foobar/baz`); a malformed `[` set makes the whole rule
match nothing; and a rule ends at its first NUL.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

GLOB_SPECIAL = re.compile(rb"[*?\[\\]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_LINE = 64 * 1024
_SLASH = ord("/")
_NEVER = b"(?!)"
_ONE = b"[^/]"
_STAR = b"[^/]*"
_STAR_SHORTEST = b"[^/]*?"

# The classes as git's matcher knows them: ASCII only, and "space" without vertical tab and form feed.
_CLASSES = {
    b"alnum": string.ascii_letters + string.digits,
    b"alpha": string.ascii_letters,
    b"blank": " \t",
    b"cntrl": "".join(map(chr, range(32))) + "\x7f",
    b"digit": string.digits,
    b"graph": string.ascii_letters + string.digits + string.punctuation,
    b"lower": string.ascii_lowercase,
    b"print": string.ascii_letters + string.digits + string.punctuation + " ",
    b"punct": string.punctuation,
    b"space": " \t\n\r",
    b"upper": string.ascii_uppercase,
    b"xdigit": string.hexdigits,
}


class Rule(NamedTuple):
    """One line of an ignore file.

    `source` is the file's path (relative to the repository for the files in its tree, as the caller gave it for
    others), `line` counts from 1, `pattern` is the line without its trailing blanks. `base` is the directory the rule
    is relative to: empty, or ending in a slash. `glob` is what has to match: the path below `base` when `anchored`,
    otherwise the name alone, at any depth.
    """

    source: bytes
    line: int
    pattern: bytes
    base: bytes
    glob: bytes
    negated: bool
    directory_only: bool
    anchored: bool


def parse(lines: Iterable[bytes], source: bytes, *, base: bytes) -> Iterator[Rule]:
    """Yield the rules of an ignore file in the order of its lines (each with its newline, as a file gives them).

    Comments and lines that can match nothing give no rule. Neither does a line of more than 64 KiB: no path is as long,
    and its regular expression could be large.
    """
    for number, full_line in enumerate(lines, 1):
        line = full_line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else full_line
        if line[:1] in b"#\n" or len(line) > _MAX_LINE:
            continue
        pattern = line.removesuffix(b"\n").removesuffix(b"\r").partition(b"\0")[0]
        pattern = without_trailing_spaces(pattern)
        negated = pattern.startswith(b"!")
        glob = pattern[1:] if negated else pattern
        directory_only = glob.endswith(b"/")
        if directory_only:
            glob = glob[:-1]
        anchored = b"/" in glob
        if anchored:
            glob = glob.removeprefix(b"/")
            if glob.startswith(b"**/") and b"/" not in glob[3:]:
                glob, anchored = glob[3:], False  # the same meaning, and names are cheaper to match than paths
        if glob:
            yield Rule(source, number, pattern, base, glob, negated, directory_only, anchored)


def without_trailing_spaces(pattern: bytes) -> bytes:
    r"""Return `pattern` without the spaces at its end; one after a backslash stays, and so do tabs."""
    if not pattern.endswith(b" "):
        return pattern
    trimmed = pattern.rstrip(b" ")
    backslashes = len(trimmed) - len(trimmed.rstrip(b"\\"))
    return trimmed + b" " if backslashes % 2 else trimmed


def expression(rule: Rule) -> bytes:
    """Return a regular expression for the whole of what `rule` is matched against.

    That is the path relative to the repository for an anchored rule, and the name for others. The expression needs
    `re.DOTALL` and a full match; it stands in an alternation without further brackets around it. It matches in time
    polynomial in the name's length, however many stars a hostile file holds.
    """
    if not rule.anchored:
        return _translate(rule.glob)
    head, rest = literal_head(rule.glob)
    return re.escape(rule.base + head) + _translate(rest)


def literal_head(glob: bytes) -> tuple[bytes, bytes]:
    """Split `glob` before its first special character."""
    special = GLOB_SPECIAL.search(glob)
    cut = special.start() if special else len(glob)
    return glob[:cut], glob[cut:]


def matcher(rule: Rule) -> Callable[[bytes], re.Match[bytes] | None]:
    """Return the test for one rule alone (see `expression` for what it is given)."""
    return re.compile(expression(rule), re.DOTALL).fullmatch


def _translate(glob: bytes) -> bytes:
    """Return the expression of a glob, or one that matches nothing when the glob is malformed.

    A star that is followed by another star may settle for its first match, since the later star can take up whatever
    lies between: such a part becomes an atomic group, and there is no backtracking over more than one star in a
    component, or over more than one `**` in a path.
    """
    out: list[bytes] = []
    star: int | None = None  # where the open star of this component stands in `out`
    deep: int | None = None  # where the last `**` stands
    position = 0
    while position < len(glob):
        byte = glob[position : position + 1]
        if byte == b"*":
            end = position
            while glob[end : end + 1] == b"*":
                end += 1
            after = glob[end : end + 2]
            own_component = position == 0 or glob[position - 1] == _SLASH
            if end - position > 1 and own_component and (after[:1] in (b"", b"/") or after == rb"\/"):
                _settle(out, deep)
                deep = len(out)
                if after[:1] == b"/":
                    out.append(b"(?:.*?/)??")
                    end += 1
                else:
                    out.append(b".*?")
            else:
                _settle(out, star)
                star = len(out)
                out.append(_STAR_SHORTEST)
            position = end
            continue
        if byte == b"?":
            out.append(_ONE)
        elif byte == b"[":
            accepted, position = _read_set(glob, position + 1)
            if not accepted:
                return _NEVER
            out.append(_set_expression(accepted))
        else:
            if byte == b"\\":
                position += 1
                byte = glob[position : position + 1]
                if not byte:
                    return _NEVER
            if byte == b"/":
                _lengthen(out, star)
                star = None
            out.append(re.escape(byte))
        position += 1
    _lengthen(out, star)
    return b"".join(out)


def _settle(out: list[bytes], start: int | None) -> None:
    """Make one atomic group of everything from `start` on."""
    if start is not None:
        out[start:] = [b"(?>" + b"".join(out[start:]) + b")"]


def _lengthen(out: list[bytes], star: int | None) -> None:
    """Let the last star of a component try its longest match first: its tail stands at the end."""
    if star is not None:
        out[star] = _STAR


def _read_set(glob: bytes, position: int) -> tuple[set[int], int]:
    """Read a `[...]` set whose first byte is at `position`: the bytes it accepts and where its `]` stands.

    A malformed set accepts nothing. No set accepts a slash.
    """
    nothing: set[int] = set()
    negated = glob[position : position + 1] in (b"!", b"^")
    if negated:
        position += 1
    accepted: set[int] = set()
    previous = 0  # the start of a possible range; 0 after a range or a class
    first = True
    while first or glob[position : position + 1] != b"]":
        first = False
        if position >= len(glob):
            return nothing, position
        byte = glob[position]
        if byte == ord("-") and previous and position + 1 < len(glob) and glob[position + 1] != ord("]"):
            position += 1
            if glob[position] == ord("\\"):
                position += 1
                if position >= len(glob):
                    return nothing, position
            accepted.update(range(previous, glob[position] + 1))
            byte = 0
        elif byte == ord("[") and glob[position + 1 : position + 2] == b":":
            end = glob.find(b"]", position + 2)
            if end < 0:
                return nothing, position
            if end - position > 2 and glob[end - 1] == ord(":"):
                members = _CLASSES.get(glob[position + 2 : end - 1])
                if members is None:
                    return nothing, position
                accepted.update(members.encode("ascii"))
                position = end
                byte = 0
            else:
                accepted.add(byte)
        else:
            if byte == ord("\\"):
                position += 1
                if position >= len(glob):
                    return nothing, position
                byte = glob[position]
            accepted.add(byte)
        previous = byte
        position += 1
    if negated:
        accepted = set(range(1, 256)) - accepted
    accepted.discard(_SLASH)
    return accepted, position


def _set_expression(accepted: set[int]) -> bytes:
    """Return the expression for one byte out of `accepted`, written as ranges."""
    ranges: list[list[int]] = []
    for byte in sorted(accepted):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    return b"[%s]" % b"".join(b"\\x%02x-\\x%02x" % (low, high) for low, high in ranges)
