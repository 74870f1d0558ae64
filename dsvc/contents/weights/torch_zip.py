"""What `torch.save` writes, read without running it: a zip file with a pickle, and the storages it refers to.

The pickle is followed by a machine of its own that makes no object: classes and functions are names, calls are their
names with arguments. Only what makes up tensors is understood (torch._utils._rebuild_tensor_v2 and parameters).
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.weights.tensors import Archive, Tensor, member_pieces, opened_member

_MOST = 5_000_000  # operations
_PICKLE = 256 << 20  # bytes
_STORAGES = {
    "DoubleStorage": ("F64", 8), "FloatStorage": ("F32", 4), "HalfStorage": ("F16", 2), "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8), "IntStorage": ("I32", 4), "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1), "BoolStorage": ("BOOL", 1), "ComplexFloatStorage": ("C64", 8),
}  # fmt: skip


@dataclass(slots=True)
class _Name:
    module: str
    name: str


@dataclass(slots=True)
class _Call:
    function: Any
    arguments: Any
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Stored:
    reference: Any


def torch_archive(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> Archive:
    """Return the tensors of a checkpoint by their names; those of nested mappings as `outer.inner`."""
    pickle = next(info for info in members if info.filename.rpartition("/")[2] == "data.pkl")
    if pickle.file_size > _PICKLE:
        raise UnfitError("a pickle that is too large")
    with opened_member(archive, pickle) as stream:
        data = stream.read(_PICKLE)
    value = _follow(data)
    prefix = pickle.filename.removesuffix("data.pkl") + "data/"
    stored = {info.filename.removeprefix(prefix): info for info in members if info.filename.startswith(prefix)}
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for name, found in _named(value, ""):
        if isinstance(found, _Call):
            tensors[name] = _tensor(archive, stored, found)
        else:
            metadata[name] = repr(found)[:200]
    return Archive("PyTorch", tensors, metadata, archive, data)


def _named(value: Any, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > 50:
        raise UnfitError("nested too deeply")
    if isinstance(value, _Call) and not _is_tensor(value):
        value = value.items or value.state or str(getattr(value.function, "name", "object"))
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(inner, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list | tuple) and any(isinstance(inner, _Call | dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _named(inner, f"{name}[{number}]", depth + 1)
    else:
        yield name, value


def _is_tensor(call: _Call) -> bool:
    return isinstance(call.function, _Name) and call.function.name.startswith("_rebuild_")


def _tensor(archive: zipfile.ZipFile, stored: dict[str, zipfile.ZipInfo], call: _Call) -> Tensor:
    arguments = call.arguments
    while call.function.name.startswith("_rebuild_parameter") and arguments and isinstance(arguments[0], _Call):
        call = arguments[0]
        arguments = call.arguments
    try:
        reference = arguments[0].reference
        offset, shape, strides = arguments[1], tuple(arguments[2]), tuple(arguments[3])
        dtype, width = _STORAGES[reference[1].name]
        info = stored[str(reference[2])]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise UnfitError("a tensor of a kind that is not known") from error
    if not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
        raise UnfitError("a tensor with a broken shape")
    count = math.prod(shape)
    plain = strides == _strides(shape)
    start, size = (offset * width, count * width) if plain or not count else (0, info.file_size)
    if start + size > info.file_size:
        raise UnfitError("a tensor that is larger than what is stored of it")

    def pieces() -> Iterator[bytes]:
        left = size
        for piece in member_pieces(archive, info, start) if left else ():
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    return Tensor(dtype, shape, size, pieces, "" if plain else f"strides {strides}", (info.filename, start))


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))


def _follow(data: bytes) -> Any:
    """Follow a pickle without running anything of it."""
    try:
        return _Machine().run(data)
    except UnfitError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnfitError("a pickle that is broken, or holds more than tensors") from error


_MARK = object()


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
            if count > _MOST:
                raise UnfitError("a pickle that is too long")
            name = operation.name
            if name == "STOP":
                return self.stack.pop()
            self.step(name, argument)
        raise UnfitError("a pickle without an end")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _MADE:
            stack.append(_MADE[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(argument)])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "GLOBAL":
            module, _, text = argument.partition(" ")
            stack.append(_Name(module, text))
        elif name == "STACK_GLOBAL":
            text, module = stack.pop(), stack.pop()
            stack.append(_Name(str(module), str(text)))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "TUPLE":
            stack.append(tuple(self.marked()))
        elif name in ("LIST", "FROZENSET"):
            stack.append(self.marked())
        elif name == "DICT":
            items = self.marked()
            stack.append(dict(zip(map(_key, items[::2]), items[1::2], strict=True)))
        elif name in ("APPENDS", "ADDITEMS"):
            items = self.marked()
            self.into(stack[-1], list(enumerate(items)))
        elif name == "APPEND":
            item = stack.pop()
            self.into(stack[-1], [(0, item)])
        elif name == "SETITEMS":
            items = self.marked()
            self.into(stack[-1], list(zip(items[::2], items[1::2], strict=True)))
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.into(stack[-1], [(key, value)])
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append({} if getattr(function, "name", "") == "OrderedDict" else _Call(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], _Call):
                stack[-1].state = state
        elif name == "BINPERSID":
            stack.append(_Stored(stack.pop()))
        elif name == "POP":
            stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise UnfitError(f"a pickle with {name}, which no tensor needs")

    def marked(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def into(self, target: Any, pairs: list[tuple[Any, Any]]) -> None:
        if isinstance(target, list):
            target.extend(value for _, value in pairs)
        elif isinstance(target, dict):
            target.update((_key(key), value) for key, value in pairs)
        elif isinstance(target, _Call):
            target.items.update((_key(key), value) for key, value in pairs)


def _key(key: Any) -> Any:
    return key if isinstance(key, str | int | float | bool | None | tuple) else repr(key)


_VALUES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING",
    "SHORT_BINSTRING", "STRING",
}  # fmt: skip
_MADE: dict[str, Any] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict, "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple, "EMPTY_SET": list,
}  # fmt: skip
