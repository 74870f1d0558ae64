"""The driver for weights: safetensors, NumPy's arrays and PyTorch's checkpoints, by tensors. No pickle is run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from dsvc.contents.driver import ContentDiff, ContentMerge, ContentSummary, Line, MergeLabels, Settings, Source
from dsvc.contents.sizes import counted, size_text
from dsvc.contents.weights.archives import open_archive
from dsvc.contents.weights.merging import merge_weights
from dsvc.contents.weights.numbers import Distance, distance, equal
from dsvc.contents.weights.tensors import Archive, Tensor

NAME = "weights"
MERGE_LIMIT = 1 << 40

_SHOWN = 40  # tensors of each kind


@contextlib.contextmanager
def _opened(source: Source | None) -> Iterator[Archive | None]:
    if source is None:
        yield None
        return
    with source.file() as path, open(path, "rb") as file:
        yield open_archive(file)


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Compare tensor by tensor; those that changed most come first."""
    del settings
    with _opened(old) as before, _opened(new) as after:
        a = before.tensors if before is not None else {}
        b = after.tensors if after is not None else {}
        added = [(name, tensor) for name, tensor in b.items() if name not in a]
        removed = [(name, tensor) for name, tensor in a.items() if name not in b]
        changed: list[tuple[str, Tensor, Tensor, Distance | None]] = []
        for name, tensor in a.items():
            if name in b and not equal(tensor, b[name]):
                same = (tensor.dtype, tensor.shape) == (b[name].dtype, b[name].shape)
                changed.append((name, tensor, b[name], distance(tensor, b[name]) if same else None))
        changed.sort(key=lambda one: -(_relative(one[3])))
        metadata = _metadata(before.metadata if before else {}, after.metadata if after else {})
        return _shown(added, removed, changed, metadata, max(len(a), len(b)))


def _relative(found: Distance | None) -> float:
    value = found.relative if found is not None else None
    return value if value is not None and not math.isnan(value) else math.inf


def _metadata(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str | None, str | None]]:
    return [
        (name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)
    ]


def _shown(
    added: list[tuple[str, Tensor]],
    removed: list[tuple[str, Tensor]],
    changed: list[tuple[str, Tensor, Tensor, Distance | None]],
    metadata: list[tuple[str, str | None, str | None]],
    total: int,
) -> ContentDiff:
    lines: list[Line] = []
    counts = [(len(changed), "changed"), (len(added), "added"), (len(removed), "removed")]
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    if told:
        lines.append(Line("head", f"{counted(total, 'tensor')}: {told}"))
    width = min(48, max((len(one[0]) for one in changed[:_SHOWN]), default=0))
    lines += [Line("changed", f" {name:<{width}}  {_change(a, b, far)}") for name, a, b, far in changed[:_SHOWN]]
    lines += [Line("dim", f" ... {len(changed) - _SHOWN:,} more changed")] if len(changed) > _SHOWN else []
    for sign, tone, some in (("-", "removed", removed), ("+", "added", added)):
        kind: Any = tone
        lines += [Line(kind, f"{sign}{name}  {tensor.described}") for name, tensor in some[:_SHOWN]]
        lines += [Line("dim", f" ... {len(some) - _SHOWN:,} more {tone}")] if len(some) > _SHOWN else []
    for name, old, new in metadata[:_SHOWN]:
        lines.append(Line("changed", f" metadata {name}: {old or 'none'} -> {new or 'none'}"))
    document = {
        "kind": NAME,
        "changed": [_document(name, a, b, far) for name, a, b, far in changed],
        "added": [{"name": name, **_described(tensor)} for name, tensor in added],
        "removed": [{"name": name, **_described(tensor)} for name, tensor in removed],
        "metadata": [{"key": name, "old": old, "new": new} for name, old, new in metadata],
    }
    return ContentDiff(tuple(lines), document)


def _change(old: Tensor, new: Tensor, far: Distance | None) -> str:
    if old.described != new.described:
        return f"{old.described} -> {new.described}"
    if far is None:
        return f"{old.described}  other values"
    part = far.relative
    return f"{old.described}  |d| {far.norm:.3g}" + (f" ({part:.2%})" if part is not None else "") + (
        f", largest {far.largest:.3g}"
    )


def _document(name: str, old: Tensor, new: Tensor, far: Distance | None) -> dict[str, Any]:
    numbers = {"norm": far.norm, "old_norm": far.old_norm, "largest": far.largest} if far is not None else {}
    finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
    return {"name": name, "old": _described(old), "new": _described(new), "difference": finite or None}


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "shape": list(tensor.shape), "size": tensor.size}


def merge(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
) -> ContentMerge:
    """Merge tensor by tensor; `strategy=` settles those that both sides changed."""
    return merge_weights(base, ours, theirs, labels, settings.text("strategy"))


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Say which tensors there are."""
    del settings
    with _opened(source) as archive:
        assert archive is not None
        tensors = archive.tensors
        numbers = sum(math.prod(tensor.shape) for tensor in tensors.values())
        size = size_text(sum(tensor.size for tensor in tensors.values()))
        lines = [Line("plain", f"{archive.form}: {counted(len(tensors), 'tensor')}, {numbers:,} numbers, {size}")]
        width = min(60, max(map(len, tensors), default=0))
        lines += [Line("plain", f"  {name:<{width}}  {tensor.described}") for name, tensor in [*tensors.items()][:200]]
        lines += [Line("dim", f"  ... {len(tensors) - 200:,} more")] if len(tensors) > 200 else []
        lines += [Line("dim", f"  {name}: {value[:60]}") for name, value in [*archive.metadata.items()][:20]]
        described = [{"name": name, **_described(tensor)} for name, tensor in tensors.items()]
        document = {"kind": NAME, "form": archive.form, "tensors": described, "metadata": archive.metadata}
        return ContentSummary(tuple(lines), document)


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Leave it to the lines."""
    del old, new, settings
    return None
