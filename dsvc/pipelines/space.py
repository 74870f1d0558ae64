"""What a sweep tries: values of parameters, as a grid, at random, or asked of Optuna.

    lr=0.1,0.01       these values
    depth=2..6        whole numbers, both ends among them
    lr=0.001..0.1     numbers between them, for random trials
    lr=log:1e-4..0.1  the same, evenly over the orders of magnitude

Texts of these forms are what people write behind `-p`.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsvc.errors import UsageError
from dsvc.objects.codec import Value
from dsvc.runs.params import parse_value
from dsvc.runs.values import clean_name, is_finite

_RANGE = re.compile(r"(log:)?([^.,]+(?:\.[0-9]+)?(?:e[-+]?\d+)?)\.\.([^,]+)", re.IGNORECASE)
Trial = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these values."""

    values: tuple[Value, ...]

    def pick(self, source: random.Random) -> Value:
        """Return one of them."""
        return source.choice(self.values)

    def suggest(self, trial: Any, name: str) -> Value:
        """Ask a trial of Optuna."""
        found: Value = trial.suggest_categorical(name, list(self.values))
        return found


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included; `is_log`: evenly over the orders of magnitude."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def pick(self, source: random.Random) -> Value:
        """Return a number of it."""
        if self.is_log:
            value = math.exp(source.uniform(math.log(self.low), math.log(self.high)))
            return round(value) if self.is_whole else value
        return source.randint(int(self.low), int(self.high)) if self.is_whole else source.uniform(self.low, self.high)

    def suggest(self, trial: Any, name: str) -> Value:
        """Ask a trial of Optuna."""
        if self.is_whole:
            whole: Value = trial.suggest_int(name, int(self.low), int(self.high), log=self.is_log)
            return whole
        found: Value = trial.suggest_float(name, self.low, self.high, log=self.is_log)
        return found


def parse_space(texts: Sequence[str]) -> dict[str, Choice | Range]:
    """Return what each parameter may be.

    Raises:
        UsageError: for a text that says nothing of the kind.
    """
    found: dict[str, Choice | Range] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not name or not equals or not rest:
            raise UsageError(f"{text!r} says not what to try", hint="-p lr=0.1,0.01, or -p depth=2..6")
        found[clean_name(name)] = _parsed(text, rest)
    return found


def _parsed(text: str, rest: str) -> Choice | Range:
    matched = _RANGE.fullmatch(rest)
    if matched is None:
        return Choice(tuple(map(parse_value, rest.split(","))))
    low, high = parse_value(matched[2]), parse_value(matched[3])
    if not (is_finite(low) and is_finite(high)):
        raise UsageError(f"{text!r} is no range of numbers", hint="-p lr=0.001..0.1")
    if low > high or (matched[1] and low <= 0):
        raise UsageError(f"{text!r} is an empty range, or one that no logarithm has", hint="-p lr=log:0.001..0.1")
    return Range(low, high, bool(matched[1]), isinstance(low, int) and isinstance(high, int))


def grid(space: Mapping[str, Choice | Range]) -> Iterator[Trial]:
    """Yield every combination, the last parameter changing first.

    Raises:
        UsageError: for a range of numbers that are not whole.
    """
    axes: list[Sequence[Value]] = []
    for name, what in space.items():
        if isinstance(what, Choice):
            axes.append(what.values)
        elif what.is_whole and not what.is_log:
            axes.append(range(int(what.low), int(what.high) + 1))
        else:
            raise UsageError(f"{name} has endless values", hint="--random 20 tries some of them")
    for values in itertools.product(*axes):
        yield dict(zip(space, values, strict=True))


def at_random(space: Mapping[str, Choice | Range], count: int, *, seed: int) -> Iterator[Trial]:
    """Yield `count` combinations, the same ones for the same seed."""
    source = random.Random(seed)  # noqa: S311 - nothing secret
    for _ in range(count):
        yield {name: what.pick(source) for name, what in space.items()}


def filled(words: Sequence[str], trial: Trial) -> list[str]:
    """Return a command for a trial: `{lr}` in it stands for a value; what stands nowhere is added as `--lr VALUE`."""
    found, used = list(words), set()
    for name, value in trial.items():
        mark = "{" + name + "}"
        for at, word in enumerate(found):
            if mark in word:
                found[at] = word.replace(mark, _text(value))
                used.add(name)
    for name, value in trial.items():
        if name not in used:
            found += [f"--{name}", _text(value)]
    return found


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
