"""What verbs print with: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from dsvc.commands.width import display_width

ColorWhen = Literal["auto", "always", "never"]

_CODES: Final = {
    "bold": 1,
    "dim": 2,
    "italic": 3,
    "underline": 4,
    "reverse": 7,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
}


class ByteStream(Protocol):
    """Where bytes go: a file, a terminal, a pipe to the pager."""

    def write(self, data: bytes, /) -> int | None:
        """Take `data`."""

    def flush(self) -> None:
        """Pass on what is held back."""


class Output:
    """Prints for one command; verbs get it as `context.out`.

    `terminal` says whether people read stdout there and then. Text is written as UTF-8, and surrogate
    escapes in it become the bytes they stand for.
    """

    __slots__ = ("_clear_live", "_colored", "_err", "_err_terminal", "_out", "as_json", "quiet", "terminal")

    def __init__(self, out: ByteStream, err: ByteStream, *, terminal: bool, err_terminal: bool) -> None:
        self._out = out
        self._err = err
        self._err_terminal = err_terminal
        self._colored: Callable[[bool], bool] = lambda terminal: terminal
        self._clear_live: Callable[[], None] | None = None
        self.terminal = terminal
        self.quiet = False
        self.as_json = False

    @property
    def err_terminal(self) -> bool:
        """Whether people read stderr there and then."""
        return self._err_terminal

    def line(self, text: str = "") -> None:
        """Print one line of a result."""
        self._out.write(_encode(text + "\n"))

    def text(self, text: str) -> None:
        """Print a result of several lines as it is."""
        self._out.write(_encode(text))

    def raw(self, data: bytes) -> None:
        """Write `data` to stdout unchanged."""
        self._out.write(data)

    def raw_error(self, data: bytes) -> None:
        """Write `data` to stderr unchanged, at once."""
        self._err.write(data)
        self._err.flush()

    def table(
        self, rows: Sequence[Sequence[str]], *, header: Sequence[str] | None = None, right: Collection[int] = ()
    ) -> None:
        """Print `rows` in columns two spaces apart; the columns numbered in `right` (from 0) end flush.

        Cells may be painted. Nothing is cut off and nothing is wrapped.
        """
        cells = [list(header), *rows] if header is not None else list(rows)
        widths: list[int] = []
        for row in cells:
            widths += [0] * (len(row) - len(widths))
            for column, cell in enumerate(row):
                widths[column] = max(widths[column], display_width(cell))
        for number, row in enumerate(cells):
            parts = []
            for column, cell in enumerate(row):
                space = " " * (widths[column] - display_width(cell))
                parts.append(space + cell if column in right else cell + space)
            text = "  ".join(parts).rstrip()
            self.line(self.paint(text, "bold") if number == 0 and header is not None else text)

    def json(self, schema: str, payload: Mapping[str, Any], *, version: int = 1) -> None:
        """Print one JSON document that begins with `schema` and `version`, indented for people."""
        self.text(_document(schema, payload, version=version, indent=2))

    def json_line(self, schema: str, payload: Mapping[str, Any], *, version: int = 1) -> None:
        """Print one JSON document on one line, for streams of them."""
        self.text(_document(schema, payload, version=version, indent=None))

    def note(self, text: str) -> None:
        """Tell people what was done, on stderr; silent under `--quiet`."""
        if not self.quiet:
            from dsvc.commands.path_text import plain_text

            self.error_line(plain_text(text, painted=True))

    def warn(self, text: str, *, hint: str | None = None) -> None:
        """Warn on stderr, under `--quiet` too."""
        self.labelled("warning:", text, "yellow")
        if hint is not None:
            self.labelled("hint:", hint, "cyan")

    def labelled(self, label: str, text: str, *styles: str) -> None:
        """Print `label`, in `styles`, and a message on stderr; a terminal gets it broken between words."""
        from dsvc.commands.path_text import plain_text

        text = plain_text(text)
        if self._err_terminal:
            from dsvc.commands.wrapping import wrapped

            with contextlib.suppress(OSError):
                text = wrapped(text, indent=len(label) + 1, width=os.get_terminal_size(2).columns)
        self.error_line(f"{self.paint_error(label, *styles)} {text}")

    def error_line(self, text: str) -> None:
        """Print one line on stderr, after what stdout already has."""
        self.flush()
        if self._clear_live is not None:
            self._clear_live()
        self._err.write(_encode(text + "\n"))
        self._err.flush()

    def error_json(self, schema: str, payload: Mapping[str, Any]) -> None:
        """Print one JSON document on one line on stderr."""
        self.error_line(_document(schema, payload, version=1, indent=None).rstrip("\n"))

    def paint(self, text: str, *styles: str) -> str:
        """`text` in `styles` (colours, bold, dim ...) where stdout takes colours, else as it is."""
        return _painted(text, styles) if self._colored(self.terminal) else text

    def paint_error(self, text: str, *styles: str) -> str:
        """As `paint`, for stderr."""
        return _painted(text, styles) if self._colored(self._err_terminal) else text

    def color_by(self, decide: Callable[[bool], bool]) -> None:
        """Let `decide` say whether a stream that is a terminal, or not, takes colours."""
        self._colored = decide

    def live_line(self, clear: Callable[[], None] | None) -> None:
        """Call `clear` before the next line on stderr, because a progress line stands there."""
        self._clear_live = clear

    def live(self, data: str) -> None:
        """Write `data` to stderr as it is, for a progress line."""
        self._err.write(_encode(data))
        self._err.flush()

    def redirect(self, stream: ByteStream) -> ByteStream:
        """Send results to `stream` from now on; returns where they went before."""
        before, self._out = self._out, stream
        return before

    def flush(self) -> None:
        """Pass on what is held back."""
        self._out.flush()


def _painted(text: str, styles: Sequence[str]) -> str:
    if not text or not styles:
        return text
    return f"\x1b[{';'.join(str(_CODES[style]) for style in styles)}m{text}\x1b[m"


def _document(schema: str, payload: Mapping[str, Any], *, version: int, indent: int | None) -> str:
    import json

    document = {"schema": schema, "version": version, **payload}
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        from dsvc.commands.path_text import exact_json

        text = json.dumps(exact_json(document), indent=indent, ensure_ascii=False)
    return text + "\n"


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte, from a damaged message
        return text.encode("utf-8", "replace")
