"""Which libraries an ELF file asks for: the few fields of its dynamic section that say so (man 5 elf)."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 14, 15, 29
_MOST = 1 << 20  # bytes of a dynamic section or a table of strings


class Elf(NamedTuple):
    """`machine` is e_machine and the class, for comparing; `folders` are those of RPATH or RUNPATH, as written."""

    machine: tuple[int, int]
    needed: tuple[str, ...]
    folders: tuple[str, ...]


def read_elf(path: str) -> Elf | None:
    """Return what a shared object or program asks for, or None for a file that is no ELF or is damaged."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(fd)
    except (OSError, struct.error, ValueError, IndexError):
        return None
    finally:
        os.close(fd)


def _read(fd: int) -> Elf | None:
    head = os.pread(fd, 64, 0)
    if head[:4] != b"\x7fELF":
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    machine = struct.unpack_from(order + "H", head, 18)[0]
    if wide:
        phoff, phentsize, phnum = struct.unpack_from(order + "Q14xHH", head, 32)
    else:
        phoff, phentsize, phnum = struct.unpack_from(order + "I10xHH", head, 28)
    table = os.pread(fd, phentsize * phnum, phoff)
    loads: list[tuple[int, int, int]] = []  # address, offset, length
    dynamic: tuple[int, int] | None = None
    for number in range(phnum):
        at = number * phentsize
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", table, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", table, at)
        if kind == _PT_LOAD:
            loads.append((address, offset, length))
        elif kind == _PT_DYNAMIC:
            dynamic = offset, min(length, _MOST)
    identity = (machine, head[4])
    if dynamic is None:
        return Elf(identity, (), ())
    form = order + ("qQ" if wide else "iI")
    data = os.pread(fd, dynamic[1], dynamic[0])
    entries = _until_null(list(struct.iter_unpack(form, data[: len(data) - len(data) % struct.calcsize(form)])))
    values = dict(entries)
    address, size = values.get(_DT_STRTAB, 0), min(values.get(_DT_STRSZ, 0), _MOST)
    offset = next((o + address - a for a, o, length in loads if a <= address < a + length), None)
    if offset is None:
        return Elf(identity, (), ())
    strings = os.pread(fd, size, offset)
    needed = [_string(strings, value) for tag, value in entries if tag == _DT_NEEDED]
    searched = [_string(strings, value) for tag, value in entries if tag in (_DT_RPATH, _DT_RUNPATH)]
    return Elf(identity, tuple(needed), tuple(folder for text in searched for folder in text.split(":") if folder))


def _until_null(entries: list[tuple[int, int]]) -> list[tuple[int, int]]:
    for number, (tag, _) in enumerate(entries):
        if tag == 0:
            return entries[:number]
    return entries


def _string(strings: bytes, at: int) -> str:
    return os.fsdecode(strings[at : strings.index(b"\0", at)])
