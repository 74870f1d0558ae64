"""Files of tensors: safetensors, NumPy's npy and npz. Headers are read with bounds, data only when it is asked for.

Formats: https://huggingface.co/docs/safetensors and numpy.lib.format. Nothing here runs what a file says: arrays of
Python objects, which NumPy pickles, are bytes.
"""

from __future__ import annotations

import ast
import json
import math
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from dsvc.contents.driver import UnfitError
from dsvc.contents.weights.tensors import PIECE, Archive, Tensor, member_pieces, opened_member

_HEADER = 100 << 20  # bytes of a safetensors header, the format's own limit
_MEMBERS = 100_000
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
_NUMPY = {
    "b1": "BOOL", "u1": "U8", "i1": "I8", "i2": "I16", "u2": "U16", "f2": "F16", "i4": "I32", "u4": "U32",
    "f4": "F32", "i8": "I64", "u8": "U64", "f8": "F64", "c8": "C64",
}  # fmt: skip


def open_archive(file: BinaryIO) -> Archive:
    """Return what a file holds; it must stay open while tensors are read.

    Raises:
        UnfitError: for a file of another form, or one whose header is not true.
    """
    head = file.read(8)
    file.seek(0)
    if head.startswith(b"\x93NUMPY"):
        size = os.fstat(file.fileno()).st_size
        return Archive("npy", {"array": _npy(file, lambda at: _at(file, at, size - at), size)})
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(file)
    if head.startswith(b"\x80"):
        raise UnfitError("a pickle, which is not opened")
    return _safetensors(file)


def _safetensors(file: BinaryIO) -> Archive:
    total = os.fstat(file.fileno()).st_size
    if total < 8:
        raise UnfitError("too short for safetensors")
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(_HEADER, total - 8):
        raise UnfitError("a header longer than the file, so not safetensors")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise UnfitError("a header that is no JSON, so not safetensors") from error
    if not isinstance(header, dict):
        raise UnfitError("a header that is no JSON object")
    start, space = 8 + length, total - 8 - length
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UnfitError("metadata that is no text")
    tensors = {name: _safetensor(file, name, value, start, space) for name, value in header.items()}
    spans = sorted((value["data_offsets"] for value in header.values()), key=tuple)
    end = 0
    for first, last in spans:
        if first != end:
            raise UnfitError("tensors that overlap, or leave room between them")
        end = last
    if end != space:
        raise UnfitError(f"{space - end} bytes that belong to no tensor")
    return Archive("safetensors", tensors, metadata)


def _safetensor(file: BinaryIO, name: str, value: object, start: int, space: int) -> Tensor:
    dtype = value.get("dtype") if isinstance(value, dict) else None
    shape = value.get("shape") if isinstance(value, dict) else None
    span = value.get("data_offsets") if isinstance(value, dict) else None
    if (
        not isinstance(dtype, str)
        or not isinstance(shape, list)
        or not isinstance(span, list)
        or len(span) != 2
        or not all(type(n) is int and n >= 0 for n in (*shape, *span))
        or not span[0] <= span[1] <= space
    ):
        raise UnfitError(f"the header is not true about {name[:60]!r}")
    size = span[1] - span[0]
    bits = _BITS.get(dtype)
    if bits is not None and math.prod(shape) * bits != size * 8:
        raise UnfitError(f"{name[:60]!r} has {size} bytes, which its shape does not take")
    return Tensor(dtype, tuple(shape), size, lambda: _at(file, start + span[0], size))


def _at(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    """Yield bytes of a file in pieces; other readers may move about in it meanwhile."""
    number = file.fileno()
    while size > 0:
        data = os.pread(number, min(PIECE, size), start)
        if not data:
            raise UnfitError("the file ends too early")
        yield data
        start += len(data)
        size -= len(data)


def _zip(file: BinaryIO) -> Archive:
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise UnfitError(f"a damaged zip file: {error}") from error
    if len(members) > _MEMBERS:
        raise UnfitError("too many members")
    if any(info.filename.endswith("/data.pkl") or info.filename == "data.pkl" for info in members):
        from dsvc.contents.weights.torch_zip import torch_archive

        return torch_archive(archive, members)
    if not members or not all(info.filename.endswith(".npy") for info in members):
        raise UnfitError("a zip file without arrays")
    tensors = {}
    for info in members:
        with opened_member(archive, info) as stream:

            def pieces(at: int, info: zipfile.ZipInfo = info) -> Iterator[bytes]:
                yield from member_pieces(archive, info, at)

            tensors[info.filename.removesuffix(".npy")] = _npy(stream, pieces, info.file_size)
    return Archive("npz", tensors)


def _npy(stream: BinaryIO, pieces: Callable[[int], Iterator[bytes]], size: int) -> Tensor:
    """Read the header of an array: magic, version, length, a Python literal."""
    head = stream.read(12)
    if not head.startswith(b"\x93NUMPY") or len(head) < 12:
        raise UnfitError("an array without a header")
    start = 10 if head[6] == 1 else 12
    length = int.from_bytes(head[8:start], "little")
    if length > min(PIECE, size):
        raise UnfitError("an array with a header that is too long")
    text = (head[start:] + stream.read(length))[:length]
    try:
        said = ast.literal_eval(text.decode("utf-8"))
        descr, shape, fortran = said["descr"], tuple(said["shape"]), bool(said["fortran_order"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise UnfitError("an array with a broken header") from error
    if not all(type(n) is int and n >= 0 for n in shape):
        raise UnfitError("an array with a broken shape")
    order = (descr[:1] if isinstance(descr, str) and descr[:1] == ">" else "") + ("F" if fortran else "")
    dtype = _NUMPY.get(descr[1:], descr[1:] or descr) if isinstance(descr, str) else "record"
    body = start + length
    if dtype in _BITS and math.prod(shape) * _BITS[dtype] != (size - body) * 8:
        raise UnfitError("an array whose size its shape does not take")
    return Tensor("object" if dtype.startswith("O") else dtype, shape, size - body, lambda: pieces(body), order)
