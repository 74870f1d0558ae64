"""Three-way merge of weights, tensor by tensor, written without holding more than a piece of one."""

from __future__ import annotations

import contextlib
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from dsvc.contents.driver import ContentMerge, MergeLabels, Source, UnfitError
from dsvc.contents.sizes import counted
from dsvc.contents.weights.archives import open_archive
from dsvc.contents.weights.numbers import all_equal, combined
from dsvc.contents.weights.tensors import Archive, Chosen, Tensor
from dsvc.contents.weights.torch_merge import carrier_of, write_checkpoint

_TOLD = 20
_WRITTEN = ("safetensors", "npz", "PyTorch")
_SETTLED = ("ours", "theirs", "mean", "task")

Pieces = Callable[[], Iterator[bytes]]
Plan = dict[str, Chosen]


def merge_weights(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, strategy: str | None
) -> ContentMerge:
    """Merge tensors; those that both sides changed are settled by `strategy`, or are conflicts.

    `strategy` is `ours`, `theirs`, `mean`, `task` (both changes added up) or None.
    """
    if strategy is not None and strategy not in _SETTLED:
        raise UnfitError(f"strategy={strategy} is none of {', '.join(_SETTLED)}")
    stack = contextlib.ExitStack()
    with contextlib.ExitStack() as opening:
        sides = [_opened(opening, side) if side is not None else None for side in (base, ours, theirs)]
        old, mine, other = sides
        assert mine is not None
        assert other is not None
        if mine.form not in _WRITTEN or other.form != mine.form or (old and old.form != mine.form):
            raise UnfitError(f"{mine.form} cannot be written, only {', '.join(_WRITTEN)}")
        plan, notes, conflicts = _plan(old, mine, other, labels, strategy)
        carrier = carrier_of(old, mine, other) if mine.form == "PyTorch" else "ours"
        if carrier is None and labels.favor in ("ours", "theirs"):
            carrier = labels.favor
        if carrier is None:
            notes.insert(0, "both sides changed what is not a tensor, or which tensors there are")
            conflicts += 1
        if conflicts:
            return ContentMerge(None, conflicts, tuple(notes))
        if mine.form == "PyTorch":
            assert carrier is not None
            content = write_checkpoint(mine if carrier == "ours" else other, carrier, plan)
        else:
            content = (_safetensors if mine.form == "safetensors" else _npz)(mine, plan)
        stack = opening.pop_all()
    return ContentMerge(_closing(stack, content), 0, tuple(notes))


def _opened(stack: contextlib.ExitStack, source: Source) -> Archive:
    path = stack.enter_context(source.file())
    return open_archive(stack.enter_context(open(path, "rb")))


def _closing(stack: contextlib.ExitStack, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with stack:
        yield from pieces


def _plan(
    old: Archive | None, mine: Archive, other: Archive, labels: MergeLabels, strategy: str | None
) -> tuple[Plan, list[str], int]:
    """Return what to write for each tensor, notes, and how many are in conflict."""
    plan: Plan = {}
    notes: list[str] = []
    conflicts = settled = 0
    chosen = labels.favor or strategy
    for name in dict.fromkeys([*mine.tensors, *other.tensors]):
        a = old.tensors.get(name) if old is not None else None
        b, c = mine.tensors.get(name), other.tensors.get(name)
        taken: Tensor | None
        if all_equal((b, c)):
            taken, source = b, "both"
        elif all_equal((a, c)):
            taken, source = b, "ours"
        elif all_equal((a, b)):
            taken, source = c, "theirs"
        elif chosen in ("ours", "theirs", "base"):
            taken, source = {"ours": b, "theirs": c, "base": a}[chosen], chosen
            settled += 1
        elif chosen in ("mean", "task") and _alike(a, b, c):
            assert b is not None
            assert c is not None
            plan[name] = Chosen(b, _combination(a, b, c, chosen), chosen)
            settled += 1
            continue
        else:
            conflicts += 1
            if conflicts <= _TOLD:
                notes.append(f"tensor {name}: {_said(b)} in ours, {_said(c)} in theirs")
            continue
        if taken is not None:
            plan[name] = Chosen(taken, taken.pieces, source)
    if conflicts:
        notes += [f"and {conflicts - _TOLD} more tensors"] if conflicts > _TOLD else []
        notes.append("merge=weights strategy=ours|theirs|mean|task in .dsvcattributes settles them")
    elif settled and labels.favor is None:
        what = f"{counted(settled, 'tensor')} that both sides changed {'was' if settled == 1 else 'were'} settled"
        notes.append(f"{what} by strategy={strategy}")
    return plan, notes, conflicts


def _combination(a: Tensor | None, b: Tensor, c: Tensor, way: str) -> Pieces:
    return lambda: combined(a, b, c, "mean" if way == "mean" else "task")


def _alike(a: Tensor | None, b: Tensor | None, c: Tensor | None) -> bool:
    if b is None or c is None or not b.dtype.startswith(("F16", "F32", "F64", "BF16")) or b.order or c.order:
        return False
    known = {(side.dtype, side.shape) for side in (a, b, c) if side is not None}
    return len(known) == 1


def _said(tensor: Tensor | None) -> str:
    return "none" if tensor is None else tensor.described


def _safetensors(mine: Archive, plan: Plan) -> Iterator[bytes]:
    header: dict[str, object] = {"__metadata__": mine.metadata} if mine.metadata else {}
    end = 0
    for name, (tensor, _, _) in plan.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + tensor.size],
        }
        end += tensor.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for _, pieces, _ in plan.values():
        yield from pieces()


def _npz(mine: Archive, plan: Plan) -> Iterator[bytes]:
    del mine
    with tempfile.TemporaryFile(prefix="dsvc-") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, (tensor, pieces, _) in plan.items():
                info = zipfile.ZipInfo(f"{name}.npy")  # with the zip format's first day, so that results are equal
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(_npy_header(tensor))
                    for piece in pieces():
                        member.write(piece)
        file.seek(0)
        yield from _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(1 << 20):
        yield piece


_DESCR = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
    "F32": "<f4", "I64": "<i8", "U64": "<u8", "F64": "<f8", "C64": "<c8",
}  # fmt: skip


def _npy_header(tensor: Tensor) -> bytes:
    descr = _DESCR.get(tensor.dtype)
    if descr is None or tensor.order.startswith(">"):
        raise UnfitError(f"arrays of {tensor.dtype} are not written")
    shape = f"({', '.join(map(str, tensor.shape))}{',' if len(tensor.shape) == 1 else ''})"
    text = f"{{'descr': '{descr}', 'fortran_order': {tensor.order == 'F'}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
