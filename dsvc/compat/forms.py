"""The forms in which each call of Dotscience's library may be written, on top of the one that does the work.

Parameters have the names that they have there: scripts give them by keyword, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Forms(ABC):
    """`set_X` and `add_X` are made by whoever derives from this; `X` also returns the value, `add_Xs` takes several."""

    @abstractmethod
    def set_error(self, error: object) -> None:
        """Say what went wrong."""

    @abstractmethod
    def set_description(self, description: object) -> None:
        """Say what the run is for."""

    @abstractmethod
    def add_input(self, filename: Any) -> None:
        """Say that the run reads a file, or all files that a folder has now."""

    @abstractmethod
    def add_output(self, filename: Any) -> None:
        """Say that the run writes a file, or all files that a folder has at the end."""

    @abstractmethod
    def add_label(self, label: object, value: object) -> None:
        """Set a label."""

    @abstractmethod
    def add_metric(self, label: object, value: object) -> None:
        """Set a metric."""

    @abstractmethod
    def add_parameter(self, label: object, value: object) -> None:
        """Set a parameter."""

    @abstractmethod
    def model(self, kind: Any, /, name: str, filepath: T, *arguments: Any, **facts: Any) -> T:
        """Say that the run writes a model, and return its path. `kind` is the module of the framework.

        Raises:
            RuntimeError: when that is no module with a name and a version.
        """

    def error(self, error: T) -> T:
        """Say what went wrong, and return it."""
        self.set_error(error)
        return error

    def description(self, description: T) -> T:
        """Say what the run is for, and return it."""
        self.set_description(description)
        return description

    def add_inputs(self, *filenames: Any) -> None:
        """Say that the run reads files or folders."""
        for filename in filenames:
            self.add_input(filename)

    def input(self, filename: T) -> T:
        """Say that the run reads a file or folder, and return its path."""
        self.add_input(filename)
        return filename

    def add_outputs(self, *filenames: Any) -> None:
        """Say that the run writes files or folders."""
        for filename in filenames:
            self.add_output(filename)

    def output(self, filename: T) -> T:
        """Say that the run writes a file or folder, and return its path."""
        self.add_output(filename)
        return filename

    def add_labels(self, *words: object, **named: object) -> None:
        """Set labels, given as names and values in turn, or by keyword."""
        for name, value in _name_values(words, named):
            self.add_label(name, value)

    def label(self, label: object, value: T) -> T:
        """Set a label, and return its value."""
        self.add_label(label, value)
        return value

    def add_metrics(self, *words: object, **named: object) -> None:
        """Set metrics, given as names and values in turn, or by keyword."""
        for name, value in _name_values(words, named):
            self.add_metric(name, value)

    def metric(self, label: object, value: T) -> T:
        """Set a metric, and return its value."""
        self.add_metric(label, value)
        return value

    summary, add_summaries = metric, add_metrics

    def add_parameters(self, *words: object, **named: object) -> None:
        """Set parameters, given as names and values in turn, or by keyword."""
        for name, value in _name_values(words, named):
            self.add_parameter(name, value)

    def parameter(self, label: object, value: T) -> T:
        """Set a parameter, and return its value."""
        self.add_parameter(label, value)
        return value

    def add_model(self, kind: Any, name: str, *arguments: Any, **facts: Any) -> None:
        """Say that the run writes a model."""
        self.model(kind, name, *arguments, **facts)


def _name_values(words: tuple[object, ...], named: dict[str, object]) -> Iterator[tuple[object, object]]:
    """Yield names and values, given in turn or by keyword."""
    yield from named.items()
    yield from zip(words[::2], words[1::2], strict=True)
