"""Large files that are written while their chunks arrive: right and whole, or not given out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dsvc.objects import trees
from dsvc.objects.filemap import Part
from dsvc.objects.ids import Kind
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.memory import MemoryBackend
from dsvc.worktree import drafts as module
from dsvc.worktree.drafts import Drafts

KIB = 1 << 10


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 300 * KIB)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(MemoryBackend(), lambda: tmp_path)


def begun(store: ObjectStore, folder: Path, data: bytes) -> tuple[Drafts, bytes, list[tuple[int, Part]]]:
    """Return drafts of a tree with one file of this content, its id and its chunks."""
    file_id = store.put_content(data)
    entry = Entry(EntryKind.FILE, file_id, len(data))
    tree = trees.write_tree(store, [(b"large", entry)])
    store.flush()
    drafts = Drafts(folder / "drafts", lambda: tree.id)  # type: ignore[arg-type, return-value]
    drafts.begin(store)
    return drafts, file_id, list(store.file_parts(file_id))


def give(drafts: Drafts, store: ObjectStore, parts: list[tuple[int, Part]]) -> None:
    for _, part in parts:
        drafts.take(part.id, store.get(part.id, Kind.CHUNK))


@pytest.mark.parametrize("order", ["in order", "backwards", "with a hole"])
def test_a_whole_file_is_given_out_once(store: ObjectStore, tmp_path: Path, order: str) -> None:
    data = random.Random(1).randbytes(900 * KIB) + bytes(600 * KIB)  # the zeros are one chunk at several places
    drafts, file_id, parts = begun(store, tmp_path, data)
    assert list(drafts.wanted()) == [file_id]
    drafts.expect(file_id, iter(parts))
    assert not drafts.wanted()
    given = {"in order": parts, "backwards": parts[::-1], "with a hole": parts[:2] + parts[3:]}[order]
    give(drafts, store, given)
    drafts.finish(store)
    path = drafts.claim(file_id)
    assert path is not None
    assert path.read_bytes() == data
    assert drafts.claim(file_id) is None
    drafts.close()
    assert not (tmp_path / "drafts").exists()


@pytest.mark.parametrize("lie", ["order", "length", "offset", "missing", "nothing came"])
def test_what_is_not_the_file_is_thrown_away(store: ObjectStore, tmp_path: Path, lie: str) -> None:
    drafts, file_id, parts = begun(store, tmp_path, random.Random(2).randbytes(900 * KIB))
    told = list(parts)
    if lie == "order":
        told = [(offset, other) for (offset, _), (_, other) in zip(parts, [*parts[1:], parts[0]], strict=True)]
    elif lie == "length":
        told[-1] = (told[-1][0], Part(told[-1][1].id, 5))
    elif lie == "offset":
        told[1] = (1 << 70, told[1][1])
    elif lie == "missing":
        told.append((900 * KIB, Part(bytes(32), 7)))
    drafts.expect(file_id, told)
    give(drafts, store, [] if lie == "nothing came" else parts)
    drafts.finish(store)
    assert drafts.claim(file_id) is None
    assert not list((tmp_path / "drafts").iterdir())


def test_only_large_files_are_written_ahead(store: ObjectStore, tmp_path: Path) -> None:
    large = store.put_content(random.Random(3).randbytes(400 * KIB))
    inner = trees.write_tree(store, [(b"large", Entry(EntryKind.FILE, large, 400 * KIB))])
    program = store.put_content(random.Random(4).randbytes(400 * KIB))
    tree = trees.write_tree(
        store,
        [
            (b"folder", inner),
            (b"program", Entry(EntryKind.EXECUTABLE, program, 400 * KIB)),
            (b"small", Entry(EntryKind.FILE, store.put_content(b"x"), 1)),
        ],
    )
    store.flush()
    drafts = Drafts(tmp_path / "drafts", lambda: tree.id)  # type: ignore[arg-type, return-value]
    drafts.begin(store)
    assert list(drafts.wanted()) == [large]
    nothing = Drafts(tmp_path / "none", lambda: None)
    nothing.begin(store)
    assert not nothing.wanted()
