"""Which Python an image has, found by looking through its layers."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dsvc.atomic import write_file
from dsvc.images.blobs import Blobs
from dsvc.images.image import Image
from dsvc.images.layers import walk_layer

_PYTHON = re.compile(r"(?:.*/)?bin/(python|pypy)(3\.\d+)")
_SEARCHED = ("usr/local/bin", "usr/bin", "bin")  # where PATH leads when an image does not say


@dataclass(frozen=True, slots=True)
class Contents:
    """What matters of an image's files: interpreters as absolute paths by what they are called, and its C library."""

    pythons: tuple[tuple[str, str], ...]
    musl: bool

    def python(self, implementation: str, minor: str, path: str) -> str | None:
        """Return the interpreter of a minor version (`3.11`) that `path`, a PATH, finds first, else any."""
        name = f"{'pypy' if implementation == 'pypy' else 'python'}{minor}"
        places = [place for called, place in self.pythons if called == name]
        folders = [folder.strip("/") for folder in path.split(":")] or list(_SEARCHED)
        for folder in (*folders, *_SEARCHED):
            if f"/{folder}/{name}" in places:
                return f"/{folder}/{name}"
        return min(places, key=len, default=None)


def contents_of(image: Image, blobs: Blobs, cache: Path) -> Contents:
    """Return what matters of an image's files; `cache` is a folder that keeps the answer for each layer.

    Raises:
        BadImageError: when a layer is damaged. UnfitImageError: for one that cannot be read.
    """
    pythons: dict[tuple[str, str], None] = {}
    musl = False
    for layer in image.layers:
        file = cache / f"{layer.hex}.json"
        try:
            names, has_musl = json.loads(file.read_bytes())
        except (OSError, ValueError):
            names, has_musl = [], False
            for info, _ in walk_layer(blobs.path(layer.digest), layer.media_type):
                path = info.name.removeprefix("./").strip("/")
                found = _PYTHON.fullmatch(path)
                if found is not None and (info.isfile() or info.issym() or info.islnk()):
                    names.append([found[1] + found[2], f"/{path}"])
                has_musl = has_musl or path.startswith("lib/ld-musl-")
            with suppress(OSError):
                cache.mkdir(parents=True, exist_ok=True)
                write_file(file, json.dumps([names, has_musl]).encode(), durable=False)
        pythons.update(dict.fromkeys((str(a), str(b)) for a, b in names))
        musl = musl or bool(has_musl)
    return Contents(tuple(pythons), musl)
