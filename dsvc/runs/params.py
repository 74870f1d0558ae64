"""Parameters of a run: from `-p NAME=VALUE`, from options of its command line, from a file `params.yaml|toml|json`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsvc.errors import RequestError, UsageError
from dsvc.objects.codec import Value
from dsvc.runs.values import clean_name, storable

FILES = ("params.yaml", "params.yml", "params.toml", "params.json")
_LARGEST = 1 << 20  # bytes of such a file
_MOST_VALUES = 20_000
_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS: Mapping[str, Value] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": float("nan"),
    "inf": float("inf"),
    "+inf": float("inf"),
    "-inf": float("-inf"),
    "infinity": float("inf"),
    "-infinity": float("-inf"),
}


class BadParamsError(RequestError):
    """A file of parameters cannot be read."""


def parse_assignment(text: str) -> tuple[str, Value]:
    """Return name and value of `NAME=VALUE`.

    Raises:
        UsageError: for a text without name or without `=`.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{text!r} is no parameter: it has no name and value", hint="-p lr=0.1")
    return clean_name(name), parse_value(value)


def parse_value(text: str) -> Value:
    """Return the value that a text stands for: a number, a truth value, nothing, JSON, or the text itself."""
    word = text.strip()
    if _WHOLE.fullmatch(word) and len(word) < 4000:
        return int(word)
    if _DECIMAL.fullmatch(word) and not (word.lstrip("+-").isdigit()):
        return float(word)  # not 007, which is a name
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if word[:1] in ("{", "[", '"'):
        import json

        try:
            return storable(json.loads(word))
        except (ValueError, RecursionError):
            pass
    return storable(text)


def params_of_words(words: Sequence[str]) -> dict[str, Value]:
    """Return the parameters among the words of a command line: `--name value`, `--name=value`, and `--name` alone.

    An option behind a name is no value of it, as argparse has it: `--fast -v` says that `fast` is true.
    """
    found: dict[str, Value] = {}
    name = ""
    for word in words[1:]:
        if word == "--":
            break
        if word.startswith("--") and len(word) > 2:
            if name:
                found[name] = True
            option, equals, value = word[2:].partition("=")
            name = clean_name(option)
            if equals:
                found[name], name = parse_value(value), ""
        elif name:
            found[name], name = True if is_option(word) else parse_value(word), ""
    if name:
        found[name] = True
    return found


def is_option(word: str) -> bool:
    """Return whether a word of a command line is an option: `-v` and `--rate` are, `-3` and `-` are not."""
    return word.startswith("-") and len(word) > 1 and not isinstance(parse_value(word), (int, float))


def overridden(values: Mapping[str, Value], later: Mapping[str, Value]) -> dict[str, Value]:
    """Return values with those on top that count more; `model.depth` takes the place of the `depth` inside `model`."""
    found = dict(values)
    for name, value in later.items():
        if isinstance(value, Mapping):
            found = {old: item for old, item in found.items() if not old.startswith(name + ".")}
        if name in found or not _replaced(found, name, value):
            found[name] = value
    return found


def _replaced(values: dict[str, Value], name: str, value: Value) -> bool:
    """Set what a dotted name stands for inside of mappings, if there is such a thing; the mappings are copied."""
    outer, dot, inner = name.partition(".")
    held = values.get(outer)
    if not dot or not isinstance(held, Mapping):
        return False
    copy = dict(held)
    if inner in copy:
        copy[inner] = value
    elif not _replaced(copy, inner, value):
        return False
    values[outer] = copy
    return True


def find_params_file(folders: Sequence[Path]) -> Path | None:
    """Return the first file of parameters in the first of these folders that has one."""
    for folder in folders:
        for name in FILES:
            if (folder / name).is_file():
                return folder / name
    return None


def read_params_file(path: Path) -> dict[str, Value]:
    """Return the parameters of a file.

    Raises:
        BadParamsError: when it cannot be read, is too large, or holds no names and values.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise BadParamsError(f"{path.name} has more than {_LARGEST} bytes, so its values are no parameters")
        values = _parsed(path.suffix, data)
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise BadParamsError(f"{path.name} cannot be read for parameters: {reason}") from error
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise BadParamsError(f"{path.name} holds no names and values, so it gives no parameters")
    plain = storable(values)
    assert isinstance(plain, dict)
    return plain


def _parsed(suffix: str, data: bytes) -> object:
    if suffix == ".toml":
        import tomllib

        return tomllib.loads(data.decode())
    if suffix == ".json":
        import json

        return json.loads(data)
    import yaml

    try:
        return _with_floats(yaml.safe_load(data), [_MOST_VALUES])
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _with_floats(value: object, left: list[int]) -> object:
    """Return a value of YAML in which `1e-3` is a number: YAML 1.1 wants a dot in it, and nobody writes one.

    `left` is how many values are looked at: by its references a short file may stand for billions.
    """
    left[0] -= 1
    if left[0] < 0:
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and "e" in value.lower():
        return float(value)
    if isinstance(value, dict):
        return {key: _with_floats(item, left) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item, left) for item in value]
    return value
