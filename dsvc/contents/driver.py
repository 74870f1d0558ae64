"""What a driver is: a module that compares, merges and sums up one family of files by what is in them.

A driver is a module (or package) with the functions of `Driver`. It works on `Source`s and settings and knows neither
history nor a working copy. What it cannot handle it refuses by UnfitError, and lines of text take over.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from dsvc.contents.attributes import NONE, Value

Tone = Literal["same", "added", "removed", "changed", "head", "dim", "plain"]
Favor = Literal["ours", "theirs", "base"]


class UnfitError(ValueError):
    """A content is not what the driver takes it for, or is more than it can do; the text says why, in a few words."""


class ExtraMissingError(UnfitError):
    """A driver needs a library that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs: pip install 'dsvc[{extra}]'")


class Source(NamedTuple):
    """One content: its size, its bytes as often as they are asked for, and where it lies whole on disk if it does."""

    size: int
    chunks: Callable[[], Iterable[bytes]]
    place: bytes | None = None

    @classmethod
    def of(cls, content: bytes) -> Source:
        """Return bytes as a source."""
        return cls(len(content), lambda: (content,))

    def read(self, limit: int | None = None) -> bytes:
        """Return the content whole.

        Raises:
            UnfitError: when it is larger than `limit` bytes.
        """
        if limit is not None and self.size > limit:
            raise UnfitError(f"larger than {limit >> 20} MiB")
        return b"".join(self.chunks())

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes, or all where there are fewer."""
        found = b""
        for chunk in self.chunks():
            found += chunk[: size - len(found)]
            if len(found) >= size:
                break
        return found

    @contextlib.contextmanager
    def file(self) -> Iterator[str]:
        """Give the path of a file with this content; a temporary one where it lies nowhere whole."""
        if self.place is not None:
            yield os.fsdecode(self.place)
            return
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="dsvc-") as file:
            for chunk in self.chunks():
                file.write(chunk)
            file.flush()
            yield file.name


class Line(NamedTuple):
    """A line to show, without its end: `tone` says what it is and so how it is coloured."""

    tone: Tone
    text: str


class ContentDiff(NamedTuple):
    """How two contents differ: lines for people, JSON values for programs. Without lines nothing that counts does."""

    lines: tuple[Line, ...]
    document: Mapping[str, Any]


class ContentSummary(NamedTuple):
    """What is in a file: lines for people and JSON values for programs.

    `instead` says that a terminal shows them in place of the content, which nobody reads as it is.
    """

    lines: tuple[Line, ...]
    document: Mapping[str, Any]
    instead: bool = True


class ContentMerge(NamedTuple):
    """A merged content in pieces, how many conflicts are left in it, and what to tell people of it.

    `content` is None where conflicts cannot be marked in a file of this kind: both sides are kept beside each other.
    """

    content: Iterable[bytes] | None
    conflicts: int = 0
    notes: tuple[str, ...] = ()


class Settings(NamedTuple):
    """What a driver may want to know: the file's path, its attributes, and how many lines of context are wished."""

    path: bytes = b""
    attributes: Mapping[str, Value] = NONE
    context: int = 3

    def text(self, name: str) -> str | None:
        """Return an attribute that has a value."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else None

    @property
    def shown(self) -> str:
        """The path as text."""
        return self.path.decode("utf-8", "replace")

    @property
    def suffix(self) -> str:
        """What follows the last dot of the name, in small letters; empty where there is none."""
        name = self.path.rpartition(b"/")[2]
        return name.rpartition(b".")[2].decode("ascii", "replace").lower() if b"." in name else ""


class MergeLabels(NamedTuple):
    """What the sides are called in conflict markers, and the side that settles conflicts, if one does."""

    base: bytes = b"base"
    ours: bytes = b"ours"
    theirs: bytes = b"theirs"
    favor: Favor | None = None
    show_base: bool = False


class Driver(Protocol):
    """The functions of a driver's module. All raise UnfitError for contents that are not theirs."""

    NAME: str
    """As in `diff=NAME`."""

    MERGE_LIMIT: int
    """Bytes of a side above which it is not merged."""

    def diff(self, old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
        """Compare two contents; None stands for a file that does not exist."""

    def merge(
        self, base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
    ) -> ContentMerge:
        """Merge two contents over the one they come from (None where both sides added the file).

        The result depends on nothing but the arguments: a hub makes a merge again to see that it is what was approved.
        """

    def summary(self, source: Source, settings: Settings) -> ContentSummary:
        """Say what is in a file."""

    def page(self, old: Source | None, new: Source | None, settings: Settings) -> str | None:
        """Return the difference as the inside of an HTML element; None where lines of text are shown instead."""
