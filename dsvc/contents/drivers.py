"""Which driver compares and merges a file: what its attributes say, else what its name and its first bytes say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from dsvc.contents.attributes import Value
from dsvc.contents.driver import Driver

NAMES = ("notebook", "params", "table", "lock", "weights", "image", "audio")

_SUFFIXES = {
    b"ipynb": "notebook",
    b"json": "params",
    b"yaml": "params",
    b"yml": "params",
    b"toml": "params",
    b"csv": "table",
    b"tsv": "table",
    b"jsonl": "table",
    b"ndjson": "table",
    b"parquet": "table",
    b"safetensors": "weights",
    b"npz": "weights",
    b"npy": "weights",
    b"pt": "weights",
    b"pth": "weights",
    b"ckpt": "weights",
    b"png": "image",
    b"jpg": "image",
    b"jpeg": "image",
    b"gif": "image",
    b"bmp": "image",
    b"webp": "image",
    b"tif": "image",
    b"tiff": "image",
    b"wav": "audio",
    b"flac": "audio",
    b"mp3": "audio",
    b"ogg": "audio",
}
_LOCKS = {b"uv.lock", b"poetry.lock", b"pdm.lock", b"Cargo.lock"}
_LOCK_NAME = re.compile(rb"pylock(\.[^.]+)?\.toml|(requirements|constraints)([-_.][^.]*)?\.txt")
_MAGIC = (
    (b"PAR1", "table"),
    (b"\x93NUMPY", "weights"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
)
_ALIASES = {"jupyternotebook": "notebook", "csv": "table", "json": "params", "yaml": "params", "toml": "params"}

Verb = Literal["diff", "merge"]
Settled = Literal["text", "binary", "union", "ours", "theirs"]


def by_name(name: str) -> Driver | None:
    """Load a driver; None for a name that is none of NAMES."""
    if name == "notebook":
        from dsvc.contents import notebooks

        return notebooks
    if name == "params":
        from dsvc.contents import params

        return params
    if name == "table":
        from dsvc.contents import tables

        return tables
    if name == "lock":
        from dsvc.contents import locks

        return locks
    if name == "weights":
        from dsvc.contents import weights

        return weights
    if name == "image":
        from dsvc.contents.media import image

        return image
    if name == "audio":
        from dsvc.contents.media import audio

        return audio
    return None


def chosen(path: bytes, attributes: Mapping[str, Value], verb: Verb) -> str | None:
    """Return what is to compare or merge a file: a driver's name, a `Settled`, or None where its bytes decide.

    A name that nothing has stands for text.
    """
    value = attributes.get(verb)
    if value is False:
        return "binary"
    if value is True:
        return "text"
    if value is not None:
        name = _ALIASES.get(value, value)
        return name if name in NAMES or name in ("binary", "union", "ours", "theirs") else "text"
    last = path.rpartition(b"/")[2]
    if last in _LOCKS or _LOCK_NAME.fullmatch(last):
        return "lock"
    stem, dot, suffix = last.rpartition(b".")
    return _SUFFIXES.get(suffix.lower()) if dot and stem else None


def by_head(head: bytes) -> str | None:
    """Return the driver for a content that begins with `head`, None for text and what nothing is known of."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def driver_for(path: bytes, attributes: Mapping[str, Value], verb: Verb, head: bytes = b"") -> Driver | None:
    """Return the driver that compares or merges a file, None where lines of text or nothing does."""
    name = chosen(path, attributes, verb) or by_head(head)
    return by_name(name) if name is not None else None
