"""Write a merged PyTorch checkpoint: the zip file of one side, in whose storages bytes of some tensors are replaced.

The pickle is that of the side that changed it and is copied as it is; nothing of it is run. Members are stored without
compression and begin at multiples of 64 bytes, as PyTorch writes them, so that they can be mapped into memory.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.weights.tensors import Archive, Chosen, member_pieces

_ALIGNED = 64  # bytes: c10's `kFieldAlignment`
_PIECE = 1 << 20

_Patches = Mapping[str, list[tuple[int, Chosen]]]


def carrier_of(old: Archive | None, mine: Archive, other: Archive) -> str | None:
    """Return whose pickle (all that is no tensor) the result has, `ours` or `theirs`; None where both changed it."""
    pickles = [side.pickle if side is not None else b"" for side in (old, mine, other)]
    if pickles[2] in (pickles[1], pickles[0]):
        return "ours"
    return "theirs" if pickles[1] == pickles[0] else None


def write_checkpoint(carrier: Archive, side: str, plan: Mapping[str, Chosen]) -> Iterator[bytes]:
    """Yield the bytes of a merged checkpoint; `plan` says what each tensor becomes.

    Raises:
        UnfitError: at once, where the carrier has no room for what a tensor becomes.
    """
    if plan.keys() != carrier.tensors.keys():
        raise UnfitError("its tensors are not those of either side")
    patches: dict[str, list[tuple[int, Chosen]]] = {}
    owners: dict[str, list[tuple[int, int, str]]] = {}
    for name, chosen in plan.items():
        own = carrier.tensors[name]
        member, start = own.place
        own_bytes = chosen.source in (side, "both")
        tensor = chosen.tensor
        if not own_bytes and (own.dtype, own.shape, own.size, own.order) != (
            tensor.dtype, tensor.shape, tensor.size, tensor.order,
        ):  # fmt: skip
            raise UnfitError(f"tensor {name[:60]!r} has another shape or layout there")
        tag = side if own_bytes else chosen.source
        for first, last, other in owners.setdefault(member, []):
            alike = (first, last, other) == (start, start + own.size, tag)
            if first < start + own.size and start < last and not (alike or (tag == other == side)):
                raise UnfitError("tensors that share their storage became different ones")
        known = any((start, start + own.size, tag) == one for one in owners[member])
        owners[member].append((start, start + own.size, tag))
        if not own_bytes and not known and own.size:
            patches.setdefault(member, []).append((start, chosen))
    return _written(carrier.zip, patches)


def _written(source: Any, patches: _Patches) -> Iterator[bytes]:
    with tempfile.TemporaryFile(prefix="dsvc-") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as target:
            for info in source.infolist():
                made = zipfile.ZipInfo(info.filename, info.date_time)
                large = info.file_size >= zipfile.ZIP64_LIMIT
                begins = file.tell() + 30 + len(info.filename.encode()) + 4 + (20 if large else 0)
                pad = -begins % _ALIGNED
                made.extra = b"FB" + pad.to_bytes(2, "little") + b"Z" * pad
                made.file_size = info.file_size
                with target.open(made, "w", force_zip64=large) as member:
                    for piece in _patched(member_pieces(source, info, 0), sorted_patches(patches, info.filename)):
                        member.write(piece)
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


def sorted_patches(patches: _Patches, name: str) -> list[tuple[int, Chosen]]:
    """Return what is replaced in a member, by place."""
    return sorted(patches.get(name, ()), key=lambda one: one[0])


def _patched(pieces: Iterator[bytes], patches: list[tuple[int, Chosen]]) -> Iterator[bytes]:
    """Yield a storage with the bytes of tensors in place of those that it has there; places do not overlap."""
    at = 0
    waiting = iter(patches)
    start, chosen = next(waiting, (None, None))
    skip = 0
    for piece in pieces:
        rest = piece
        while rest:
            dropped = min(skip, len(rest))
            rest, skip, at = rest[dropped:], skip - dropped, at + dropped
            if not rest:
                break
            if start is None or chosen is None or at + len(rest) <= start:
                yield rest
                at += len(rest)
                break
            yield rest[: start - at]
            rest, at = rest[start - at :], start
            yield from chosen.pieces()
            skip = chosen.tensor.size
            start, chosen = next(waiting, (None, None))
