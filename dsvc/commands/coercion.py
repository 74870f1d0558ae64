"""From the words of a command line to the types of a verb's parameters.

typer leaves this to pydantic, whose import costs more than the rest of a short command and whose text type
refuses file names that are not UTF-8. The types that verbs use are few, so they are done here; a parameter
of any other type stays with typer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import typer

Leaf = Callable[[Any], Any]

_SIMPLE: Final[dict[type, Leaf]] = {str: str, int: int, float: float, Path: Path, bool: bool}
_NAMES: Final[dict[type, str]] = {int: "a whole number", float: "a number"}


class Coercion(NamedTuple):
    """Turns the words given for one parameter into its type; stands in for typer's own object of this form."""

    annotation: Any
    many: bool
    minimum: float | None
    maximum: float | None

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """The value in the parameter's type; raises typer.BadParameter where a word does not fit."""
        if value is None:
            return () if self.many else None
        if self.many:
            return tuple(self._one(word, param=param, ctx=ctx) for word in value)
        return self._one(value, param=param, ctx=ctx)

    def _one(self, word: Any, *, param: Any, ctx: Any) -> Any:
        if get_origin(self.annotation) is Literal:
            choices = get_args(self.annotation)
            if word not in choices:
                raise typer.BadParameter(f"{word!r} is not one of {', '.join(choices)}.", ctx=ctx, param=param)
            return word
        try:
            result = _SIMPLE[self.annotation](word)
        except ValueError as error:
            name = _NAMES.get(self.annotation, self.annotation.__name__)
            raise typer.BadParameter(f"{word!r} is not {name}.", ctx=ctx, param=param) from error
        if self.minimum is not None and result < self.minimum:
            raise typer.BadParameter(f"{word} is less than {self.minimum}.", ctx=ctx, param=param)
        if self.maximum is not None and result > self.maximum:
            raise typer.BadParameter(f"{word} is more than {self.maximum}.", ctx=ctx, param=param)
        return result


def choices_of(param: Any) -> tuple[str, ...]:
    """The words that `param` takes, empty where it takes any."""
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def install_coercion(param: Any) -> None:
    """Let `param`, an option or argument that typer made, use `Coercion` where its type is a simple one.

    A typer without this hook (an older one, which uses no pydantic) is left as it is.
    """
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None or not hasattr(param, "get_runtime_param"):
        return
    annotation = descriptor.annotation
    many = get_origin(annotation) is list
    if many:
        annotation = get_args(annotation)[0]
    if annotation not in _SIMPLE and get_origin(annotation) is not Literal:
        return
    info = descriptor.parameter_info
    if getattr(info, "parser", None) is not None or getattr(info, "exists", False):
        return
    coercion = Coercion(annotation, many, minimum=param.min, maximum=param.max)
    param.get_runtime_param = lambda: coercion
