"""Gates: comparisons that must hold, such as `metrics.acc >= base.metrics.acc - 0.01`.

    metrics.NAME, params.NAME              of the new version; metrics["val-acc"] where the name is no word
    base.metrics.NAME, base.params.NAME    of the version that it is compared with
    + - * / abs() min() max() ( )          numbers
    == != < <= > >=                        also chained; == and != for texts too
    and or not

The grammar is that of Python's expressions, of which nothing else is taken; nothing is evaluated as code.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from dsvc.errors import UsageError
from dsvc.objects.codec import Value

_LONGEST = 1000  # characters
_SECTIONS: Final = ("metrics", "params")
_ARITHMETIC: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ORDERS: Final[dict[type, Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"abs": abs, "min": min, "max": max}


class BadGateError(UsageError):
    """A text that is no gate."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(
            f"{text!r} is no gate: {why}",
            hint="such as 'metrics.acc >= 0.9' or 'metrics.acc >= base.metrics.acc - 0.01'",
        )


class Numbers(NamedTuple):
    """The metrics and parameters of a version, flat, with dotted names."""

    metrics: Mapping[str, Value]
    params: Mapping[str, Value]


class Verdict(NamedTuple):
    """Whether a gate holds; None where it speaks of a base that has no such value. `reason` shows the values."""

    gate: str
    passed: bool | None
    reason: str


class _AbsentError(Exception):
    def __init__(self, name: str, *, of_base: bool) -> None:
        super().__init__(name)
        self.name, self.of_base = name, of_base


class Gate:
    """A gate, understood."""

    def __init__(self, text: str) -> None:
        """Raises BadGateError: for anything that is none."""
        self.text = text
        if len(text) > _LONGEST:
            raise BadGateError(f"{text[:40]}...", f"it has more than {_LONGEST} characters")
        try:
            self._body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise BadGateError(text, "it is not understood") from error
        self._check(self._body, top=True)

    def judge(self, new: Numbers, base: Numbers | None) -> Verdict:
        """Say whether it holds; a value that the new version lacks, or that is NaN, makes it fail."""
        met: dict[str, Value] = {}
        try:
            passed = bool(self._value(self._body, new, base or Numbers({}, {}), met))
        except _AbsentError as error:
            if error.of_base:
                return Verdict(self.text, None, f"there is no {error.name} to compare with")
            return Verdict(self.text, passed=False, reason=f"there is no {error.name}")
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            return Verdict(self.text, passed=False, reason=f"it cannot be worked out: {error}")
        passed = passed and not any(isinstance(value, float) and math.isnan(value) for value in met.values())
        return Verdict(self.text, passed, ", ".join(f"{name} = {_shown(value)}" for name, value in met.items()))

    def _check(self, node: ast.expr, *, top: bool = False) -> None:
        """Raise BadGateError for what may not stand in a gate."""
        if top and not isinstance(node, (ast.Compare, ast.BoolOp)) and not _is_not(node):
            raise BadGateError(self.text, "it compares nothing")
        if isinstance(node, ast.Compare):
            if any(type(op) not in _ORDERS for op in node.ops):
                raise BadGateError(self.text, "it may compare by == != < <= > >= only")
            inner = [node.left, *node.comparators]
        elif isinstance(node, ast.BoolOp):
            inner = node.values
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            inner = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd, ast.Not)):
            inner = [node.operand]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            if node.keywords or not node.args:
                raise BadGateError(self.text, f"{node.func.id} takes values")
            inner = node.args
        elif _name(node) is not None or (isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str))):
            return
        else:
            raise BadGateError(self.text, f"{ast.unparse(node)!r} may not stand in it")
        for one in inner:
            self._check(one)

    def _value(self, node: ast.expr, new: Numbers, base: Numbers, met: dict[str, Value]) -> Any:
        def value(one: ast.expr) -> Any:
            return self._value(one, new, base, met)

        if isinstance(node, ast.Compare):
            values = [value(one) for one in (node.left, *node.comparators)]
            return all(
                _ORDERS[type(op)](left, right)
                for op, left, right in zip(node.ops, values, values[1:], strict=False)
            )
        if isinstance(node, ast.BoolOp):
            found = [bool(value(one)) for one in node.values]
            return all(found) if isinstance(node.op, ast.And) else any(found)
        if isinstance(node, ast.BinOp):
            return _ARITHMETIC[type(node.op)](_number(value(node.left)), _number(value(node.right)))
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.Not):
                return not value(node.operand)
            number = _number(value(node.operand))
            return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return _FUNCTIONS[node.func.id](*(_number(value(one)) for one in node.args))
        if isinstance(node, ast.Constant):
            return node.value
        name = _name(node)
        assert name is not None, "what may stand in a gate was checked"
        of_base, section, key = name
        values = getattr(base if of_base else new, section)
        shown = f"{'base.' if of_base else ''}{section}.{key}"
        if key not in values:
            raise _AbsentError(shown, of_base=of_base)
        met[shown] = values[key]
        return values[key]


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _name(node: ast.expr) -> tuple[bool, str, str] | None:
    """Return whether it is of the base, the section and the dotted name; None where it names nothing."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            parts.append(str(node.slice.value))
            node = node.value
        elif isinstance(node, ast.Name):
            parts.append(node.id)
            break
        else:
            return None
    parts.reverse()
    of_base = parts[0] == "base"
    section, *key = parts[1:] if of_base else parts
    if section not in _SECTIONS or not key:
        return None
    return of_base, section, ".".join(key)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value


def _shown(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
