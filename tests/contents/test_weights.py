from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from dsvc.contents import weights
from dsvc.contents.driver import ContentMerge, MergeLabels, Settings, Source, UnfitError

RNG = np.random.default_rng(1)
BASE = {
    "body.weight": RNG.normal(size=(30, 20)).astype(np.float32),
    "body.bias": np.zeros(20, np.float32),
    "steps": np.array([7], np.int64),
    "half": RNG.normal(size=5).astype(np.float16),
}


def safetensor(arrays: dict[str, Any], **metadata: str) -> bytes:
    return safetensors.numpy.save(arrays, metadata or None)


def npz(arrays: dict[str, Any], save: Any = np.savez) -> bytes:
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def shown(old: bytes, new: bytes) -> list[str]:
    return [line.text for line in weights.diff(Source.of(old), Source.of(new), Settings()).lines]


def merged(base: bytes | None, ours: bytes, theirs: bytes, favor: Any = None, **attributes: str) -> ContentMerge:
    source = Source.of(base) if base is not None else None
    labels = MergeLabels(favor=favor)
    return weights.merge(source, Source.of(ours), Source.of(theirs), labels, Settings(b"m", attributes))


def content(merge: ContentMerge) -> bytes:
    assert merge.content is not None
    return b"".join(merge.content)


def moved(name: str, by: float) -> dict[str, Any]:
    return {**BASE, name: (BASE[name] + by).astype(BASE[name].dtype)}


@pytest.mark.parametrize("save", [safetensor, npz, lambda arrays: npz(arrays, np.savez_compressed)])
def test_tensors_that_differ_with_the_norm_of_the_difference(save: Any) -> None:
    new = moved("body.bias", 0.5)
    del new["half"]
    new |= {"head": np.ones((2, 3), np.float64), "steps": np.array([8, 9], np.int64)}
    new["body.weight"] = BASE["body.weight"] * 2
    found = weights.diff(Source.of(save(BASE)), Source.of(save(new)), Settings())
    changed = {one["name"]: one["difference"] for one in found.document["changed"]}
    assert changed.keys() == {"body.bias", "steps", "body.weight"}
    assert changed["steps"] is None  # another shape
    assert changed["body.bias"]["norm"] == pytest.approx(0.5 * 20**0.5)
    assert changed["body.weight"]["norm"] == pytest.approx(changed["body.weight"]["old_norm"])
    text = "\n".join(line.text for line in found.lines)
    assert "4 tensors: 3 changed, 1 added, 1 removed" in text
    assert "I64 [1] -> I64 [2]" in text
    assert "(100.00%)" in text
    assert "+head  F64 [2, 3]" in text
    assert "-half  F16 [5]" in text
    assert shown(save(BASE), save(dict(reversed(BASE.items())))) == []


def test_metadata_counts() -> None:
    assert shown(safetensor(BASE, format="pt"), safetensor(BASE, format="np")) == [" metadata format: pt -> np"]


@pytest.mark.parametrize("save", [safetensor, npz])
def test_a_merge_takes_each_tensor_from_the_side_that_changed_it(save: Any) -> None:
    theirs = {**moved("body.bias", 1), "new": np.arange(3, dtype=np.int32)}
    found = content(merged(save(BASE), save(moved("body.weight", 2)), save(theirs)))
    load = safetensors.numpy.load if save is safetensor else lambda data: dict(np.load(io.BytesIO(data)))
    expected = {**moved("body.weight", 2), "body.bias": theirs["body.bias"], "new": theirs["new"]}
    arrays = load(found)
    assert arrays.keys() == expected.keys()
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    assert found == content(merged(save(BASE), save(moved("body.weight", 2)), save(theirs)))


def test_tensors_that_both_changed_are_settled_by_a_strategy() -> None:
    sides = safetensor(BASE), safetensor(moved("body.weight", 2)), safetensor(moved("body.weight", -1))
    open_ = merged(*sides)
    assert (open_.content, open_.conflicts) == (None, 1)
    assert open_.notes[0] == "tensor body.weight: F32 [30, 20] in ours, F32 [30, 20] in theirs"
    for strategy, by in (("ours", 2), ("theirs", -1), ("mean", 0.5), ("task", 1)):
        arrays = safetensors.numpy.load(content(merged(*sides, strategy=strategy)))
        assert np.allclose(arrays["body.weight"], BASE["body.weight"] + by, atol=1e-6), strategy
    with pytest.raises(UnfitError, match="none of ours"):
        merged(*sides, strategy="average")
    assert safetensors.numpy.load(content(merged(*sides, favor="theirs")))["body.weight"][0, 0] == pytest.approx(
        BASE["body.weight"][0, 0] - 1
    )


def bfloat(values: list[float]) -> bytes:
    data = (np.array(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [len(values)], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def test_bfloat16_is_understood() -> None:
    found = weights.diff(Source.of(bfloat([1, 2, 4])), Source.of(bfloat([1, 2, 8])), Settings())
    assert found.document["changed"][0]["difference"]["norm"] == 4
    mean = content(merged(bfloat([1, 2, 4]), bfloat([3, 2, 4]), bfloat([5, 2, 4]), strategy="mean"))
    assert mean.endswith(bfloat([4, 2, 4])[-6:])


def header(value: Any, data: bytes = b"") -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text + data


HOSTILE = [
    b"",
    b"\0" * 7,
    struct.pack("<Q", 1 << 62) + b"{}",
    struct.pack("<Q", (100 << 20) + 1) + b"{}",
    header(b"{"),
    header(b"[" * 5000),
    header([]),
    header({"a": 5}),
    header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, b"1234"),
    header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
    header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
    header({"a": {"dtype": "F32", "shape": [1 << 60], "data_offsets": [0, 4]}}, b"1234"),
    header({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": {"dtype": "U8", "shape": [4],
            "data_offsets": [0, 4]}}, b"1234"),
    header({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, b"1234"),
    header({"__metadata__": {"a": 1}}),
    b"PK\x03\x04 nothing",
    b"\x80\x04}.",
    b"\x93NUMPY\x01\x00\xff\xff{",
    b"\x93NUMPY\x01\x00\x08\x00__import",
]  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_headers_that_lie_are_refused(data: bytes) -> None:
    with pytest.raises(UnfitError, match=r"\w+ \w+"):
        weights.summary(Source.of(data), Settings())


def test_arrays_of_objects_are_only_bytes() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, ("exit 1",)

    data = npz({"a": np.array([Bomb()], dtype=object)})
    assert "  a  object [1]" in [line.text for line in weights.summary(Source.of(data), Settings()).lines]


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write what `torch.save` writes: a zip of a pickle, which names torch's functions, and of storages."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    storage = type("FloatStorage", (), {"__module__": "torch"})
    torch.FloatStorage = storage  # type: ignore[attr-defined]

    def _rebuild_tensor_v2(*_: Any) -> None:
        raise AssertionError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Stored:
        def __init__(self, key: str, count: int) -> None:
            self.key, self.count = key, count

    class Tensor:
        def __init__(self, key: str, shape: tuple[int, ...], offset: int = 0, strides: Any = None) -> None:
            count = int(np.prod(shape))
            default = tuple(int(np.prod(shape[n + 1 :])) for n in range(len(shape)))
            self.arguments = (Stored(key, count), offset, shape, strides or default, False, {})

        def __reduce__(self) -> Any:
            return _rebuild_tensor_v2, self.arguments

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, Stored):
                return "storage", storage, value.key, "cpu", value.count
            return None

    def save(values: dict[str, np.ndarray[Any, Any]], protocol: int = 2, extra: Any = None) -> bytes:
        state: Any = {name: Tensor(str(n), array.shape) for n, (name, array) in enumerate(values.items())}
        out, text = io.BytesIO(), io.BytesIO()
        Pickler(text, protocol).dump({"model": state, "epoch": 3, "rest": [1, 2.5, None, True, b"x"], "extra": extra})
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("best/data.pkl", text.getvalue())
            for n, array in enumerate(values.values()):
                archive.writestr(f"best/data/{n}", array.tobytes())
        return out.getvalue()

    return save


@pytest.mark.parametrize("protocol", [2, 4])
def test_checkpoints_of_pytorch_are_compared_without_running_them(checkpoint: Any, protocol: int) -> None:
    floats = {name: array for name, array in BASE.items() if array.dtype == np.float32}
    other = {**floats, "body.bias": floats["body.bias"] + 1}
    assert shown(checkpoint(floats, protocol), checkpoint(other, protocol)) == [
        "2 tensors: 1 changed",
        " model.body.bias  F32 [20]  |d| 4.47, largest 1",
    ]
    lines = [line.text for line in weights.summary(Source.of(checkpoint(floats, protocol)), Settings()).lines]
    assert lines[:2] == ["PyTorch: 2 tensors, 620 numbers, 2.4 KiB", "  model.body.weight  F32 [30, 20]"]
    assert "  epoch: 3" in lines


def test_checkpoints_of_pytorch_are_merged_by_tensor(checkpoint: Any) -> None:
    base = {name: array for name, array in BASE.items() if array.dtype == np.float32}
    ours, theirs = ({**base, name: base[name] + by} for name, by in (("body.bias", 1), ("body.weight", 2)))
    expected = {**ours, "body.weight": theirs["body.weight"]}
    assert shown(checkpoint(expected), content(merged(checkpoint(base), checkpoint(ours), checkpoint(theirs)))) == []
    later = checkpoint(theirs, extra="later")  # the side that changed what is no tensor keeps it
    for sides in ((checkpoint(ours), later), (later, checkpoint(ours))):
        result = content(merged(checkpoint(base), *sides))
        assert shown(checkpoint(expected, extra="later"), result) == []
        with zipfile.ZipFile(io.BytesIO(result)) as archive:
            for info in archive.infolist():  # begins where PyTorch's own files do, so that it can be mapped
                name, extra = struct.unpack("<HH", result[info.header_offset + 26 : info.header_offset + 30])
                assert (info.header_offset + 30 + name + extra) % 64 == 0
    fight = merged(checkpoint(base), checkpoint(ours, extra=1), checkpoint(theirs, extra=2))
    assert fight.content is None
    assert fight.notes == ("both sides changed what is not a tensor, or which tensors there are",)
    both = {**base, "body.bias": base["body.bias"] + 3}
    assert merged(checkpoint(base), checkpoint(ours), checkpoint(both)).conflicts == 1
    mean = content(merged(checkpoint(base), checkpoint(ours), checkpoint(both), strategy="mean"))
    assert shown(checkpoint({**base, "body.bias": base["body.bias"] + 2}), mean) == []


def test_pytorch_loads_what_was_merged() -> None:
    """State dicts with tied weights, views of one storage and half precision."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")

    def saved(weight: float, tied: float, half: float) -> bytes:
        out, shared, storage = io.BytesIO(), torch.full((5, 4), tied), torch.arange(10.0)
        state = {"weight": torch.full((30, 20), weight), "in": shared, "out": shared, "half": storage[5:].half() + half}
        torch.save({**state, "first": storage[:5], "turned": state["weight"].t()}, out)
        return out.getvalue()

    result = content(merged(saved(0, 0, 0), saved(1, 0, 0), saved(0, 2, 3)))
    state = torch.load(io.BytesIO(result), weights_only=True)
    expected = torch.load(io.BytesIO(saved(1, 2, 3)), weights_only=True)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert state["in"].data_ptr() == state["out"].data_ptr()


class Evil:
    """What would be run by whoever unpickles it."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("was-run",)


def test_what_a_checkpoint_says_is_never_run(checkpoint: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = checkpoint({"w": BASE["body.bias"]}, extra=Evil())
    pickle.loads(pickle.dumps(Evil()))
    (tmp_path / "was-run").rmdir()
    weights.summary(Source.of(data), Settings())
    assert not (tmp_path / "was-run").exists()


def test_weights_of_any_order_of_bytes_are_read_from_pieces() -> None:
    data = safetensor(BASE)
    pieces = Source(len(data), lambda: (data[at : at + 11] for at in range(0, len(data), 11)))
    assert [line.text for line in weights.diff(pieces, Source.of(data), Settings()).lines] == []
