"""Runs that programs print as text, in the form of the library of Dotscience 0.8.

A block is `[[DOTSCIENCE-RUN:ID]]`, a JSON object, and `[[/DOTSCIENCE-RUN:ID]]` with the same ID, anywhere in what a
program writes. The object has `version` "1", the lists of paths `input` and `output`, maps of texts `labels`, `summary`
(metrics) and `parameters`, and where they are known `description`, `error`, `start`, `end` (20260131T120000.000000,
UTC) and `workload-file`. A label `artefact:NAME` is JSON, too, and says that there is a model of that name.
"""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dsvc.objects.codec import Value
from dsvc.runs.params import parse_value
from dsvc.runs.values import clean_name, clean_text

MODEL_LABEL: Final = "artefact:"
MOST: Final = 10_000  # blocks of one output
_BYTES = 1 << 20  # of one block
_BEGIN = re.compile(rb"\[\[DOTSCIENCE-RUN:([0-9A-Za-z_-]{1,64})\]\]")
_TIME = "%Y%m%dT%H%M%S.%f"


class BadBlockError(ValueError):
    """A text that is no block, with the reason."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run that a program printed. Times are microseconds since 1970 UTC; paths are relative to the project."""

    id: str
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Value] = field(default_factory=dict)
    params: Mapping[str, Value] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    description: str = ""
    error: str = ""
    start: int | None = None
    end: int | None = None
    workload: str = ""

    def is_part_of(self, other: Block) -> bool:
        """Say whether the other one repeats all that this one says; a run may be printed as it goes on."""
        maps = ((self.labels, other.labels), (self.metrics, other.metrics), (self.params, other.params))
        models = (self.models, other.models)
        texts = ((self.description, other.description), (self.error, other.error), (self.workload, other.workload))
        return (
            set(self.inputs) <= set(other.inputs)
            and set(self.outputs) <= set(other.outputs)
            and all(name in b and repr(b[name]) == repr(a[name]) for a, b in (*maps, models) for name in a)
            and all(a in ("", b) for a, b in texts)
            and all(a in (None, b) for a, b in ((self.start, other.start), (self.end, other.end)))
        )


def find_blocks(path: Path) -> Iterator[Block | BadBlockError]:
    """Yield the blocks in a file in order, and for what begins like one and is none the reason.

    Raises:
        OSError: when it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # it is empty
            return
        with data:
            at = count = 0
            while count < MOST and (found := _BEGIN.search(data, at)) is not None:
                count += 1
                name, at = found[1], found.end()
                del found  # else the map could not be closed
                end = b"[[/DOTSCIENCE-RUN:" + name + b"]]"
                stop = data.find(end, at, at + _BYTES + len(end))
                if stop < 0:
                    yield BadBlockError(f"block {name.decode()} has no end, or more than {_BYTES >> 20} MiB")
                    continue
                body, at = data[at:stop], stop + len(end)
                try:
                    yield parse_block(name.decode(), body)
                except BadBlockError as error:
                    yield error


def parse_block(block_id: str, body: bytes) -> Block:
    """Return the run that the JSON of a block describes.

    Raises:
        BadBlockError: when it is not of the form.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBlockError(f"block {block_id} is no JSON: {error}") from error
    if not isinstance(value, dict) or value.get("version") != "1":
        raise BadBlockError(f"block {block_id} is not of version 1")
    read = _Reader(block_id, value)
    labels = {clean_name(name): clean_text(str(text)) for name, text in read.map("labels").items()}
    models = dict(_models(labels))
    return Block(
        id=block_id,
        inputs=read.paths("input"),
        outputs=read.paths("output"),
        labels={name: text for name, text in labels.items() if name.removeprefix(MODEL_LABEL) not in models},
        metrics={clean_name(name): _typed(value) for name, value in read.map("summary").items()},
        params={clean_name(name): _typed(value) for name, value in read.map("parameters").items()},
        models=models,
        description=read.text("description"),
        error=read.text("error"),
        start=read.time("start"),
        end=read.time("end"),
        workload=read.text("workload-file"),
    )


def _models(labels: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Value]]]:
    for label, text in labels.items():
        if not label.startswith(MODEL_LABEL):
            continue
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            continue
        files = said.get("files") if isinstance(said, dict) else None
        if not isinstance(files, dict) or not isinstance(files.get("model"), str):
            continue
        facts: dict[str, Value] = {
            "path": clean_text(files["model"]),
            "framework": clean_text(str(said.get("type", "")).removesuffix("-model")),
            "framework_version": clean_text(str(said.get("version", ""))),
        }
        if isinstance(files.get("classes"), str):
            facts["classes"] = clean_text(files["classes"])
        yield label.removeprefix(MODEL_LABEL), facts


def _typed(value: Any) -> Value:
    """Return the number that a text stands for; the library prints every value as text."""
    if not isinstance(value, str):
        return parse_value(json.dumps(value))
    found = parse_value(value)
    return found if isinstance(found, (int, float)) else clean_text(value)


class _Reader:
    def __init__(self, block_id: str, values: dict[str, Any]) -> None:
        self._id, self._values = block_id, values

    def _bad(self, name: str) -> BadBlockError:
        return BadBlockError(f"block {self._id} has no valid field {name!r}")

    def text(self, name: str) -> str:
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise self._bad(name)
        return clean_text(value)

    def map(self, name: str) -> dict[str, Any]:
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise self._bad(name)
        return value

    def paths(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(path, str) and path for path in value):
            raise self._bad(name)
        try:
            list(map(os.fsencode, value))
        except UnicodeEncodeError as error:  # JSON may name half a character, a file system may not
            raise self._bad(name) from error
        return tuple(path for path in value if "\0" not in path)

    def time(self, name: str) -> int | None:
        value = self._values.get(name)
        if value is None:
            return None
        try:
            moment = datetime.strptime(value, _TIME).replace(tzinfo=UTC)
        except (TypeError, ValueError) as error:
            raise self._bad(name) from error
        return int(moment.timestamp() * 1_000_000)
