"""Conditions on runs, such as `metrics.acc > 0.9 and params.lr < 0.01`, made a function of a summary.

Nothing is evaluated as code.

    or, and, not, parentheses
    NAME OP VALUE    OP is one of = == != < <= > >= ~ (contains), in, not in
    NAME             there is such a value, and it is not false, zero or empty; there is such a label, also without text

A name is a field of the run (`state`, `name`, `user`, ...), or `params.`, `metrics.`, `labels.` and a name, quoted
with backticks where it holds blanks or operators. A comparison with a value that is not there, or of another type, is
false; so is any order with NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

from dsvc.errors import UsageError
from dsvc.objects.codec import Value
from dsvc.runs.names import short_key
from dsvc.runs.params import parse_value
from dsvc.runs.summary import Summary

Condition = Callable[[Summary], bool]
_MISSING: Final = object()
_DEEPEST = 50  # parentheses
_TOKENS = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<op>==|!=|<=|>=|[=<>~(),])"
    r"|(?P<word>(?:`[^`]*`|[^\s`'\"=<>!~(),])+))"
)
_FIELDS: Final[dict[str, Callable[[Summary], object]]] = {
    "run": lambda s: s.key.hex(),
    "id": lambda s: s.run_id.hex(),
    "short": lambda s: short_key(s.key),
    "state": lambda s: s.state,
    "start": lambda s: s.start / 1_000_000,
    "elapsed": lambda s: s.elapsed / 1_000_000,
    "name": lambda s: s.name,
    "description": lambda s: s.description,
    "command": lambda s: s.command,
    "user": lambda s: s.user,
    "authority": lambda s: s.authority,
    "exit_code": lambda s: s.exit_code,
    "signal": lambda s: s.signal,
    "parent": lambda s: s.parent.hex() if s.parent is not None else None,
    "inputs": lambda s: s.inputs,
    "outputs": lambda s: s.outputs,
}
_SHORT = {"param": "params", "metric": "metrics", "label": "labels", "p": "params", "m": "metrics", "l": "labels"}


class BadConditionError(UsageError):
    """A text that should be a condition, or the name of a column, is not."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(
            f"{text!r} is not understood: {why}",
            hint="such as \"metrics.acc > 0.9 and params.lr < 0.01\"; names begin with params., metrics. or labels.",
        )


def column(name: str) -> Callable[[Summary], Value]:
    """Return what gives the value of a name such as `metrics.acc`, None where a run has none.

    Raises:
        BadConditionError: for a name that no run can have.
    """
    section, dot, rest = split_column(name)
    if dot:
        values = attrgetter(section)
        return lambda summary: values(summary).get(rest)
    found = _column(name, name)

    def read(summary: Summary) -> Value:
        value = found(summary)
        return None if value is _MISSING else value  # type: ignore[return-value]

    return read


def _column(name: str, text: str) -> Callable[[Summary], object]:
    section, dot, rest = split_column(name)
    if dot:
        values = attrgetter(section)
        return lambda summary: values(summary).get(rest, _MISSING)
    if name in _FIELDS:
        return _FIELDS[name]
    raise BadConditionError(text, f"no run has a field {name!r}")


def split_column(name: str) -> tuple[str, str, str]:
    """Return the section of a dotted name, the dot, and the rest; no dot where it is none of a section."""
    section, dot, rest = name.replace("`", "").partition(".")
    section = _SHORT.get(section, section)
    return section, dot if section in ("params", "metrics", "labels") else "", rest


def parse_condition(text: str) -> Condition:
    """Return the test that a condition stands for.

    Raises:
        BadConditionError: saying where it goes wrong.
    """
    return _Parser(text).whole()


class _Wanted(NamedTuple):
    """A value of a condition, and how it was written."""

    value: Value
    text: str


class _Token(NamedTuple):
    kind: str
    text: str


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._at = 0

    def _split(self, text: str) -> Sequence[_Token]:
        found: list[_Token] = []
        at = 0
        while text[at:].strip():
            match = _TOKENS.match(text, at)
            if match is None:
                raise BadConditionError(text, f"there is something odd at {text[at:].strip()[:20]!r}")
            kind = str(match.lastgroup)
            found.append(_Token(kind, match[kind]))
            at = match.end()
        return found

    def whole(self) -> Condition:
        if not self._tokens:
            raise BadConditionError(self._text, "it is empty")
        condition = self._or(0)
        if self._at < len(self._tokens):
            raise BadConditionError(self._text, f"{self._tokens[self._at].text!r} is too much")
        return condition

    def _peek(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "")

    def _take(self, *words: str) -> bool:
        token = self._peek()
        if token.kind in ("word", "op") and token.text.lower() in words:
            self._at += 1
            return True
        return False

    def _or(self, depth: int) -> Condition:
        if depth > _DEEPEST:
            raise BadConditionError(self._text, "it is nested too deeply")
        parts = [self._and(depth)]
        while self._take("or"):
            parts.append(self._and(depth))
        return parts[0] if len(parts) == 1 else lambda summary: any(part(summary) for part in parts)

    def _and(self, depth: int) -> Condition:
        parts = [self._not(depth)]
        while self._take("and"):
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else lambda summary: all(part(summary) for part in parts)

    def _not(self, depth: int) -> Condition:
        negated = False
        while self._take("not"):
            negated = not negated
        condition = self._term(depth)
        return (lambda summary: not condition(summary)) if negated else condition

    def _term(self, depth: int) -> Condition:
        if self._take("("):
            condition = self._or(depth + 1)
            if not self._take(")"):
                raise BadConditionError(self._text, "a parenthesis is not closed")
            return condition
        token = self._peek()
        if token.kind != "word":
            raise BadConditionError(self._text, f"a name is missing before {token.text or 'the end'!r}")
        self._at += 1
        read = _column(token.text, self._text)
        if self._take("in"):
            return self._among(read)
        if self._peek() == _Token("word", "not"):
            self._at += 1
            if not self._take("in"):
                raise BadConditionError(self._text, "'in' is missing behind 'not'")
            among = self._among(read)
            return lambda summary: not among(summary)
        operator = self._peek()
        if operator.kind == "op" and operator.text in _OPERATORS:
            self._at += 1
            test, wanted = _OPERATORS[operator.text], self._value(token.text)
            return lambda summary: test(read(summary), wanted)
        if split_column(token.text)[0] == "labels":  # most of them have no text
            return lambda summary: read(summary) is not _MISSING
        return lambda summary: read(summary) is not _MISSING and bool(read(summary))

    def _among(self, read: Callable[[Summary], object]) -> Condition:
        if not self._take("("):
            raise BadConditionError(self._text, "'in' wants values in parentheses: params.lr in (0.1, 0.01)")
        values = [self._value("")]
        while self._take(","):
            values.append(self._value(""))
        if not self._take(")"):
            raise BadConditionError(self._text, "a parenthesis is not closed")
        return lambda summary: any(_equal(read(summary), value) for value in values)

    def _value(self, name: str) -> _Wanted:
        token = self._peek()
        if token.kind not in ("word", "text"):
            raise BadConditionError(self._text, f"a value is missing before {token.text or 'the end'!r}")
        self._at += 1
        if token.kind == "text":
            text = re.sub(r"\\(.)", r"\1", token.text[1:-1])
            return _Wanted(_moment(text) if name == "start" else text, text)
        text = token.text.replace("`", "")
        return _Wanted(_moment(text) if name == "start" else parse_value(text), text)


def _moment(text: str) -> Value:
    """Return a date as seconds since 1970, for comparisons with `start`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return parse_value(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _equal(value: object, wanted: _Wanted) -> bool:
    if value is _MISSING:
        return False
    if isinstance(value, str):
        return value == wanted.text
    if isinstance(value, float) and isinstance(wanted.value, float) and math.isnan(value):
        return math.isnan(wanted.value)
    return value == wanted.value and isinstance(value, bool) == isinstance(wanted.value, bool)


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[object, _Wanted], bool]:
    def test(value: object, wanted: _Wanted) -> bool:
        numbers = isinstance(value, (int, float)) and isinstance(wanted.value, (int, float))
        texts = isinstance(value, str) and isinstance(wanted.value, str)
        return (numbers or texts) and compare(value, wanted.value)

    return test


def _contains(value: object, wanted: _Wanted) -> bool:
    return value is not _MISSING and value is not None and wanted.text.lower() in _spelled(value).lower()


_OPERATORS: Final[dict[str, Callable[[object, _Wanted], bool]]] = {
    "=": _equal,
    "==": _equal,
    "!=": lambda value, wanted: value is not _MISSING and not _equal(value, wanted),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
    "~": _contains,
}
