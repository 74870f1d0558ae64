"""The shared libraries that an interpreter and the modules installed for it load, found without loading anything.

Each file says which libraries it asks for. They are looked up as the dynamic linker does it: in the folders that the
file names, then in the linker's cache, then in the usual folders.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dsvc.environments.elf import Elf, read_elf

_MAGIC = b"glibc-ld.so.cache1.1"
_USUAL = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")


@dataclass(slots=True)
class Linker:
    """Where libraries are looked for: `cache` has the paths of each name that the linker's cache lists."""

    cache: dict[str, list[str]] = field(default_factory=dict)

    def find(self, name: str, asking: Elf, folder: str) -> str | None:
        """Return the file that a library of this name is for a file in `folder`, or None."""
        searched = [part.replace("$ORIGIN", folder).replace("${ORIGIN}", folder) for part in asking.folders]
        candidates = [os.path.join(part, name) for part in searched]
        candidates += self.cache.get(name, ())
        candidates += [os.path.join(part, name) for part in _USUAL]
        for path in candidates:
            found = read_elf(path)
            if found is not None and found.machine == asking.machine:
                return path
        return None


def read_linker_cache(path: str = "/etc/ld.so.cache") -> Linker:
    """Return the linker's cache as glibc writes it; an empty one where there is none or its form is another."""
    linker = Linker()
    try:
        with open(path, "rb") as file:
            data = file.read()
        start = data.index(_MAGIC)
        (count,) = struct.unpack_from("=I", data, start + 20)
        for number in range(count):
            _, key, value, _, _ = struct.unpack_from("=iIIIQ", data, start + 48 + 24 * number)
            linker.cache.setdefault(_string(data, start + key), []).append(_string(data, start + value))
    except (OSError, ValueError, struct.error):
        return Linker()
    return linker


def _string(data: bytes, at: int) -> str:
    return os.fsdecode(data[at : data.index(b"\0", at)])


def loaded_libraries(files: Iterable[str], linker: Linker, *, inside: Sequence[str]) -> list[str]:
    """Return the real paths of all libraries that these files load, directly or not, in order.

    Those below a folder of `inside` belong to what is installed there: they are followed and not returned.
    """
    roots = tuple(folder.rstrip("/") + "/" for folder in inside)
    found: set[str] = set()
    seen: set[str] = set()
    names: set[tuple[str, tuple[str, ...]]] = set()
    stack = [os.path.realpath(path) for path in files]
    while stack:
        path = stack.pop()
        if path in seen:
            continue
        seen.add(path)
        elf = read_elf(path)
        if elf is None:
            continue
        folder = os.path.dirname(path)
        for name in elf.needed:
            wanted = (name, tuple(part.replace("$ORIGIN", folder) for part in elf.folders))
            if wanted in names:
                continue
            names.add(wanted)
            library = linker.find(name, elf, folder)
            if library is None:
                continue
            real = os.path.realpath(library)
            stack.append(real)
            if not real.startswith(roots):
                found.add(real)
    return sorted(found)


def mapped_libraries(maps: Iterable[str], *, inside: Sequence[str]) -> list[str]:
    """Return those of the files that a process has mapped which are shared libraries outside of `inside`."""
    roots = tuple(folder.rstrip("/") + "/" for folder in inside)
    real = (os.path.realpath(path) for path in maps if path.endswith(".so") or ".so." in os.path.basename(path))
    return sorted({path for path in real if not path.startswith(roots)})
