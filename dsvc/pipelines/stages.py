"""Read the stages of `dsvc.toml`.

    [stages.train]
    cmd = "python train.py"          # run by sh, in `wdir` below the root
    deps = ["train.py", "data"]      # files and folders that it reads
    outs = ["model.pkl"]             # files and folders that it writes
    params = ["lr", "conf.toml:net.layers"]   # of params.yaml, .toml or .json, or of a file that is named
    metrics = ["metrics.json"]       # files of which the values become metrics of the run; outputs as well
    foreach = ["a", "b"]             # a stage for each: ${item} stands for it, or ${item.KEY} where it is a table;
                                      # of a table [stages.x.foreach] ${key} is the name of the item

Paths are relative to the root of the working copy.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dsvc.errors import RequestError

FILE: Final = "dsvc.toml"
_KEYS = frozenset({"cmd", "deps", "outs", "params", "metrics", "foreach", "wdir", "desc"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ITEM = re.compile(r"\$\{(?:key|item(?:\.([A-Za-z0-9_-]+))?)\}")


class BadPipelineError(RequestError):
    """`dsvc.toml` describes no pipeline."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{FILE}: {message}", hint="see the guide on pipelines for the form of a stage")


@dataclass(frozen=True, slots=True)
class Stage:
    """A command with what it reads and writes. Paths are normal ones, relative to the root of the working copy."""

    name: str
    cmd: str
    wdir: str = ""
    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()  # file ("": the project's) and dotted name
    metrics: tuple[str, ...] = ()
    desc: str = ""

    @property
    def written(self) -> tuple[str, ...]:
        """What it writes: outputs, and files of metrics."""
        return tuple(dict.fromkeys((*self.outs, *self.metrics)))


def read_stages(root: Path) -> list[Stage]:
    """Return the stages in the order in which they stand; raises BadPipelineError."""
    try:
        data = (root / FILE).read_bytes()
    except FileNotFoundError as error:
        raise RequestError(
            f"there is no {FILE} at the root of the working copy", hint='[stages.NAME] with cmd = "..." begins one'
        ) from error
    return parse_stages(data)


def parse_stages(data: bytes) -> list[Stage]:
    """Return the stages that such a file describes; raises BadPipelineError."""
    try:
        tables = tomllib.loads(data.decode()).get("stages", {})
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadPipelineError(str(error)) from error
    if not isinstance(tables, dict):
        raise BadPipelineError("'stages' is not a table")
    found = [stage for name, table in tables.items() for stage in _stages(name, table)]
    by_output: dict[str, str] = {}
    for stage in found:
        for path in stage.written:
            other = by_output.setdefault(path, stage.name)
            if other != stage.name:
                of_one = stage.name.partition("@")[0] == other.partition("@")[0]
                item = "; ${item} in it would stand for what differs" if of_one else ""
                raise BadPipelineError(f"the stages {other} and {stage.name} both write {path}{item}")
    return found


def _stages(name: str, table: Any) -> Iterator[Stage]:
    if not _NAME.fullmatch(name):
        raise BadPipelineError(f"{name!r} is not a valid name for a stage")
    if not isinstance(table, dict):
        raise BadPipelineError(f"stage {name} is not a table")
    unknown = table.keys() - _KEYS
    if unknown:
        raise BadPipelineError(f"stage {name} has the unknown key {sorted(unknown)[0]!r}")
    items = table.get("foreach")
    if items is None:
        yield _stage(name, table, None)
    elif isinstance(items, dict):
        for key, item in items.items():
            yield _stage(f"{name}@{key}", table, item, key)
    elif isinstance(items, list):
        for item in items:
            yield _stage(f"{name}@{item}", table, item)
    else:
        raise BadPipelineError(f"'foreach' of stage {name} is neither a list nor a table")


def _stage(name: str, table: Mapping[str, Any], item: Any, key: str | None = None) -> Stage:
    cmd = table.get("cmd")
    if not isinstance(cmd, str) or not cmd.strip():
        raise BadPipelineError(f"stage {name} has no 'cmd'")
    wdir = _texts(name, table, "wdir", single=True)

    def fill(text: str) -> str:
        return _filled(name, text, item, key)

    def paths(of: str) -> tuple[str, ...]:
        return tuple(_path(name, fill(text)) for text in _texts(name, table, of))

    return Stage(
        name=name,
        cmd=fill(cmd),
        wdir=_path(name, fill(wdir[0])) if wdir else "",
        deps=paths("deps"),
        outs=paths("outs"),
        params=tuple(map(_param, map(fill, _texts(name, table, "params")))),
        metrics=paths("metrics"),
        desc=" ".join(_texts(name, table, "desc", single=True)),
    )


def _texts(name: str, table: Mapping[str, Any], key: str, *, single: bool = False) -> Sequence[str]:
    value = table.get(key, [])
    if single and isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value) or (single and value):
        raise BadPipelineError(f"{key!r} of stage {name} is not {'a text' if single else 'a list of texts'}")
    return value


def _path(name: str, text: str) -> str:
    path = os.path.normpath(text)
    if os.path.isabs(path) or path.split(os.sep)[0] == ".." or "\0" in path:
        raise BadPipelineError(f"stage {name}: {text} lies outside of the working copy")
    return "" if path == "." else path


def _param(text: str) -> tuple[str, str]:
    file, colon, key = text.rpartition(":")
    return (file if colon else ""), key


def _filled(name: str, text: str, item: Any, key: str | None) -> str:
    def fill(found: re.Match[str]) -> str:
        if found[0] == "${key}":  # of a stage that stands for no table it is the shell's
            return found[0] if key is None else key
        value = item.get(found[1]) if found[1] and isinstance(item, dict) else None if found[1] else item
        if value is None or isinstance(value, (dict, list)):
            raise BadPipelineError(f"stage {name}: {found[0]} stands for nothing")
        return str(value)

    return _ITEM.sub(fill, text)
