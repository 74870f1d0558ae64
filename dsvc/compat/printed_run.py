"""A run as Dotscience's library keeps and prints it: names and texts, in a block of text."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from dsvc.compat.forms import Forms
from dsvc.runs.dotscience import MODEL_LABEL

T = TypeVar("T")
_TIME = "%Y%m%dT%H%M%S.%f"


class Run(Forms):
    """What is said of one run, and the block that is printed of it. Paths in it are relative to `root`."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._id: str | None = None
        self._inputs: set[str] = set()
        self._outputs: set[str] = set()
        self._labels: dict[str, str] = {}
        self._metric: dict[str, str] = {}
        self._parameters: dict[str, str] = {}
        self._texts: dict[str, str] = {}  # error, description, workload-file
        self._start: datetime | None = None
        self._end: datetime | None = None
        self._model_dir: Any = None

    def start(self) -> None:
        """Note the time of the begin.

        Raises:
            RuntimeError: when that was done before.
        """
        if self._start is not None:
            raise RuntimeError("this run was started before")
        self._start = _now()

    def lazy_start(self) -> None:
        """Note the time of the begin, unless that was done before."""
        self._start = self._start or _now()

    def end(self) -> None:
        """Note the time of the end, unless that was done before."""
        self._end = self._end or _now()

    def forget_times(self) -> None:
        """Forget both times."""
        self._start = self._end = None

    def newID(self) -> None:  # noqa: N802 - its name
        """Take a new id."""
        self._id = str(uuid.uuid4())

    def getModelDir(self) -> Any:  # noqa: N802 - its name
        """Return where the newest model lies."""
        return self._model_dir

    def set_error(self, error: object) -> None:
        """Say what went wrong."""
        self._texts["error"] = str(error)

    def set_description(self, description: object) -> None:
        """Say what the run is for."""
        self._texts["description"] = str(description)

    def _set_workload_file(self, path: str | None) -> None:
        self._texts.pop("workload-file", None)
        if path is not None:
            self._texts["workload-file"] = path

    def add_input_file(self, filename: Any) -> None:
        """Say that the run reads a file."""
        self._inputs.add(os.path.relpath(os.fspath(filename), self._root))

    def add_input(self, filename: Any) -> None:
        """Say that the run reads a file, or all files that a folder has now."""
        for each in files_in(os.fspath(filename)):
            self.add_input_file(each)

    def add_output(self, filename: Any) -> None:
        """Say that the run writes a file, or all files that a folder has at the end."""
        self._outputs.add(os.path.relpath(os.fspath(filename), self._root))

    def add_label(self, label: object, value: object) -> None:
        """Set a label."""
        self._labels[str(label)] = str(value)

    def add_metric(self, label: object, value: object) -> None:
        """Set a metric."""
        self._metric[str(label)] = str(value)

    add_summary = add_metric

    def add_parameter(self, label: object, value: object) -> None:
        """Set a parameter."""
        self._parameters[str(label)] = str(value)

    def model(self, module: Any, name: str, filepath: T, *_: object, **facts: Any) -> T:
        """Say that the run writes a model, and return its path. `module` is that of the framework.

        Raises:
            RuntimeError: when that is no module with a name and a version.
        """
        framework, version = framework_of(module)
        files: dict[str, Any] = {"model": filepath, **({"classes": facts["classes"]} if "classes" in facts else {})}
        self.add_outputs(*files.values())
        said = {
            "type": f"{framework}-model",
            "version": version,
            "files": {key: os.path.relpath(os.fspath(value), self._root) for key, value in files.items()},
        }
        self.add_label(f"{MODEL_LABEL}{name}", json.dumps(said, sort_keys=True, separators=(",", ":")))
        self._model_dir = filepath
        return filepath

    def metadata(self) -> dict[str, Any]:
        """Return what the block says."""
        root = self._root
        outputs = {os.path.relpath(f, root) for o in self._outputs for f in files_in(os.path.join(root, o))}
        times = {"start": self._start, "end": self._end}
        return {
            "version": "1",
            "input": sorted(self._inputs),
            "output": sorted(outputs),
            "labels": self._labels,
            "summary": self._metric,
            "parameters": self._parameters,
            **self._texts,
            **{name: moment.strftime(_TIME) for name, moment in times.items() if moment is not None},
        }

    def __str__(self) -> str:
        body = json.dumps(self.metadata(), sort_keys=True, indent=4)
        return f"[[DOTSCIENCE-RUN:{self._id}]]{body}[[/DOTSCIENCE-RUN:{self._id}]]"

    def debug(self) -> None:
        """Print what the block would say."""
        print(json.dumps(self.metadata(), sort_keys=True, indent=4))  # noqa: T201


def _now() -> datetime:
    return datetime.now(UTC)


def files_in(path: str) -> Iterator[str]:
    """Yield a path, or of a folder all files in it and below."""
    if not os.path.isdir(path):
        yield path
        return
    for name in os.listdir(path):
        yield from files_in(os.path.join(path, name))


def framework_of(kind: Any) -> tuple[str, str]:
    """Return name and version of a framework, given by its module."""
    name, version = getattr(kind, "__name__", None), getattr(kind, "__version__", None)
    if not isinstance(name, str) or version is None:
        raise RuntimeError(f"{kind!r} is no module of a framework: a model's first argument is one, such as sklearn")
    return name, str(version)
