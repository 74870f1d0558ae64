"""What an encrypted place hides, what it notices, and how many requests it takes."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.actions.fsck import check
from dsvc.errors import IntegrityError
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.trees import empty_tree
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.remotes.encryption.backend import DamagedSealedCellError, EncryptedBackend, create_encrypted, open_encrypted
from dsvc.remotes.encryption.keyslots import KeyFile
from dsvc.remotes.encryption.sealing import HEADER, MAX_NAME, SEALED, SEGMENT, Keys, plain_size, sealed_size
from dsvc.repo.repository import Repository
from dsvc.storage.backend import BadKeyError, BlobDamagedError, BlobMissingError
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend

KEYS = Keys.of(bytes(32))
SECRET = KeyFile(b"k" * 32)
SIZES = (0, 1, 100, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 5)


class Counting(MemoryBackend):
    """A place in memory that counts what is asked of it, and hands out what lies there for a hand to change."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.bytes = 0

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self.asked["get"] += 1
        data = super().get(key, offset=offset, length=length)
        self.bytes += len(data)
        return data

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self.asked["list"] += 1
        return super().list(prefix)

    @property
    def blobs(self) -> dict[str, bytes]:
        return self._blobs

    @property
    def cells(self) -> dict[str, bytes]:
        return self._cells


def place(**blobs: bytes) -> tuple[Counting, EncryptedBackend]:
    inner = Counting()
    backend = EncryptedBackend(inner, KEYS)
    for name, data in blobs.items():
        backend.put(f"packs/{name}", data)
    return inner, backend


@pytest.mark.parametrize("size", SIZES)
def test_every_range_comes_back(size: int) -> None:
    plain = random.Random(size).randbytes(size)
    inner, warm = place(x=plain)
    assert len(next(iter(inner.blobs.values()))) == sealed_size(size)
    assert plain_size(sealed_size(size)) == size
    edges = sorted({at for s in range(5) for at in (s * SEGMENT - 1, s * SEGMENT, s * SEGMENT + 1) if 0 <= at <= size})
    edges = sorted({*edges, 0, size, size // 2, max(size - 1, 0)})
    for start in edges:
        cold = EncryptedBackend(inner, KEYS)
        assert warm.get("packs/x", offset=start) == cold.get("packs/x", offset=start) == plain[start:]
        for end in (end for end in edges if end >= start):
            cold = EncryptedBackend(inner, KEYS)
            for backend in (warm, cold):
                assert backend.get("packs/x", offset=start, length=end - start) == plain[start:end]
    for start, length in ((0, size + 1), (size, 1), (size + 1, None), (size + 1, 0), (size + SEGMENT, 1), (-1, 1)):
        with pytest.raises(BlobDamagedError, match="packs/x"):
            warm.get("packs/x", offset=start, length=length)
        with pytest.raises(BlobDamagedError, match="packs/x"):
            EncryptedBackend(inner, KEYS).get("packs/x", offset=start, length=length)


def test_what_ranges_cost() -> None:
    inner, backend = place(x=bytes(100 * SEGMENT + 7))
    backend = EncryptedBackend(inner, KEYS)
    backend.get("packs/x", offset=50 * SEGMENT + 10, length=100)
    assert (inner.asked, inner.bytes) == ({"get": 2}, HEADER + SEALED)  # once the header
    for start in range(10):
        backend.get("packs/x", offset=start * SEGMENT, length=SEGMENT)
    assert inner.asked == {"get": 12}
    inner.asked.clear()
    backend.get("packs/x", offset=100 * SEGMENT, length=7)  # the end is not where a whole segment would end: twice
    assert inner.asked == {"get": 2}
    backend.get("packs/x", offset=100 * SEGMENT + 1, length=6)
    assert inner.asked == {"get": 3}


@pytest.mark.parametrize("size", [0, 10, SEGMENT, 2 * SEGMENT + 30])
def test_a_changed_byte_is_noticed(size: int) -> None:
    inner, backend = place(x=bytes(size))
    ((name, sealed),) = inner.blobs.items()
    spots = range(len(sealed)) if size < 100 else [*range(0, len(sealed), 977), HEADER, len(sealed) - 1]
    for at in spots:
        inner.blobs[name] = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(BlobDamagedError, match="packs/x is damaged"):
            backend.get("packs/x")
        with pytest.raises(IntegrityError):
            EncryptedBackend(inner, KEYS).get("packs/x")
    inner.blobs[name] = sealed
    assert backend.get("packs/x") == bytes(size)


def test_cut_off_moved_and_added_segments_are_noticed() -> None:
    inner, backend = place(x=os.urandom(4 * SEGMENT))
    ((name, sealed),) = inner.blobs.items()
    head, parts = sealed[:HEADER], [sealed[HEADER + i * SEALED : HEADER + (i + 1) * SEALED] for i in range(4)]
    changed = [head + b"".join(parts[:n]) for n in range(4)]
    changed += [sealed[:n] for n in (0, 7, HEADER - 1, HEADER + 15, HEADER + 16, len(sealed) - 1)]
    changed += [sealed + b"x", sealed + parts[3], sealed + bytes(SEALED)]
    changed += [head + b"".join(parts[i] for i in order) for order in ([0, 0, 1, 2, 3], [0, 2, 3], [3], [0, 1, 3, 2])]
    for data in changed:
        inner.blobs[name] = data
        with pytest.raises(BlobDamagedError):
            backend.get("packs/x")
        with pytest.raises(BlobDamagedError):
            EncryptedBackend(inner, KEYS).get("packs/x", offset=4 * SEGMENT)
    inner.blobs[name] = head + parts[1] + parts[0] + parts[2] + parts[3]
    with pytest.raises(BlobDamagedError):
        backend.get("packs/x")
    # What is whole can still be read where another part is damaged.
    inner.blobs[name] = head + parts[0] + parts[1] + bytes(SEALED) + parts[3]
    assert len(backend.get("packs/x", offset=SEGMENT, length=SEGMENT)) == SEGMENT
    with pytest.raises(BlobDamagedError):
        backend.get("packs/x", offset=2 * SEGMENT - 1, length=2)


def test_blobs_and_cells_cannot_be_exchanged() -> None:
    inner, backend = place(x=b"one", y=b"two")
    backend.put("lists/x", b"three")
    backend.swap_cell("a", None, b"one")
    backend.swap_cell("b", None, b"two")
    for kept in (inner.blobs, inner.cells):
        names = sorted(kept)
        values = [kept[name] for name in names]
        kept.update(zip(names, values[1:] + values[:1], strict=True))
    fresh = EncryptedBackend(inner, KEYS)
    for key in ("packs/x", "packs/y", "lists/x"):
        with pytest.raises(BlobDamagedError):
            fresh.get(key)
    for cell in ("a", "b"):
        with pytest.raises(DamagedSealedCellError, match=f"the cell {cell} "):
            fresh.read_cell(cell)
        with pytest.raises(DamagedSealedCellError):
            fresh.swap_cell(cell, b"one", b"x")


def test_another_key_sees_nothing() -> None:
    inner, backend = place(x=b"one")
    backend.swap_cell("head", None, b"value")
    other = EncryptedBackend(inner, Keys.of(b"\1" * 32))
    assert list(other.list("")) == []
    assert other.missing(["packs/x"]) == ["packs/x"]
    assert other.read_cell("head") is None
    with pytest.raises(BlobMissingError, match="packs/x"):
        other.get("packs/x")


def test_strange_blobs_are_left_out_of_listings() -> None:
    inner, backend = place(x=b"one")
    inner.put("packs/readme", b"a stranger")
    inner.put("packs/" + "a" * 64, b"a stranger")
    name = next(iter(inner.blobs))
    inner.put(name.replace("packs", "lists"), b"moved to another folder")
    assert list(backend.list("")) == [("packs/x", 3)]


def test_keys_of_one_part_and_of_four() -> None:
    inner, backend = place()
    keys = ["alone", "a/b", "a/b/c", "a/b/c/d", "a/bb", "packs/" + "x" * MAX_NAME]
    for key in keys:
        backend.put(key, key.encode())
    assert [key for key, _ in backend.list("")] == sorted(keys)
    assert [key for key, _ in backend.list("a/b/")] == ["a/b/c", "a/b/c/d"]
    assert [key for key, _ in backend.list("al")] == ["alone"]
    assert all(EncryptedBackend(inner, KEYS).get(key) == key.encode() for key in keys)
    assert {name.count("/") for name in inner.blobs} == {0, 1}
    assert max(len(name.rpartition("/")[2]) for name in inner.blobs) == 255
    with pytest.raises(BadKeyError, match="too long"):
        backend.put("packs/" + "x" * (MAX_NAME + 1), b"")


def test_put_again_by_somebody_else() -> None:
    """What is remembered of a blob may be out of date when gc removed it and a push brought it back."""
    inner, backend = place(x=bytes(2 * SEGMENT))
    other = EncryptedBackend(inner, KEYS)
    assert other.get("packs/x", offset=5, length=5) == bytes(5)
    backend.delete("packs/x")
    backend.put("packs/x", b"\1" * 3 * SEGMENT)
    assert other.get("packs/x", offset=5, length=5) == b"\1" * 5
    assert other.get("packs/x", offset=3 * SEGMENT - 1) == b"\1"
    backend.delete("packs/x")
    with pytest.raises(BlobMissingError, match="packs/x"):
        other.get("packs/x", offset=5, length=5)


@pytest.mark.parametrize("size", SIZES)
def test_files_are_sealed_beside_themselves(tmp_path: Path, size: int) -> None:
    plain = os.urandom(size)
    (tmp_path / "store").mkdir()
    backend = EncryptedBackend(LocalBackend(tmp_path / "store"), KEYS)
    source = tmp_path / "pack"
    source.write_bytes(plain)
    backend.put("packs/x", source)
    assert backend.get("packs/x") == plain
    assert list(backend.list("packs/")) == [("packs/x", size)]
    assert [file.name for file in tmp_path.iterdir()] == ["store"]
    source.write_bytes(plain)
    with pytest.raises(BadKeyError):
        backend.put("../x", source)
    assert source.exists()


def test_the_same_blob_is_sealed_alike(tmp_path: Path) -> None:
    """So an upload that was cut off is continued, though the file is sealed anew for it."""
    plain = os.urandom(3 * SEGMENT + 5)
    places = [place()[0] for _ in range(3)]
    source = tmp_path / "pack"
    source.write_bytes(plain)
    EncryptedBackend(places[0], KEYS).put("packs/x", plain)
    EncryptedBackend(places[1], KEYS).put("packs/x", source)
    assert places[0].blobs == places[1].blobs
    backend = EncryptedBackend(places[2], KEYS)
    backend.put("packs/y", plain)
    backend.put("packs/x", plain[:-1] + bytes([plain[-1] ^ 1]))
    headers = {data[:HEADER] for inner in places for data in inner.blobs.values()}
    assert len(headers) == 3, "another name and another content have other salts"


def test_a_failed_put_leaves_the_file_and_no_other(tmp_path: Path) -> None:
    class Full(MemoryBackend):
        def put(self, key: str, source: bytes | Path) -> None:
            raise OSError(28, "No space left on device")

    source = tmp_path / "pack"
    source.write_bytes(b"plain")
    with pytest.raises(OSError, match="No space"):
        EncryptedBackend(Full(), KEYS).put("packs/x", source)
    assert [file.name for file in tmp_path.iterdir()] == ["pack"]


def test_a_swap_from_an_equal_value_that_was_sealed_anew() -> None:
    """Somebody else writes the same value between our reading and our swap: that is what we expect, so it moves."""

    class Busy(MemoryBackend):
        turns = 3

        def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
            if self.turns and expected is not None:
                self.turns -= 1
                super().swap_cell(name, expected, KEYS.seal_cell("a", b"same"))
            return super().swap_cell(name, expected, value)

    backend = EncryptedBackend(Busy(), KEYS)
    assert backend.swap_cell("a", None, b"same")
    assert backend.swap_cell("a", b"same", b"new")
    assert backend.read_cell("a") == b"new"


def history(repo: Repository, count: int) -> CommitId:
    """A few commits with files, published one by one."""
    person = Person("Ada", "ada@example.com", 0)
    parents: tuple[CommitId, ...] = ()
    for number in range(count):
        repo.store.put_content(f"secret content {number}".encode() * 100)
        commit = repo.put_commit(Commit(TreeId(empty_tree(repo.store)), parents, person, person, f"secret {number}"))
        transaction = repo.transaction()
        transaction.set("heads/secret-branch", Direct(Kind.COMMIT, ObjectId(commit)))
        repo.publish(transaction, Act("commit", "secret act", "ada", "host", "main", number, 0))
        parents = (commit,)
    return parents[0]


def test_a_whole_repository(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "staging").mkdir()
    act = Act("init", "made", "ada", "host", "main", 0, 0)

    def staging() -> Path:
        return tmp_path / "staging"

    backend = create_encrypted(LocalBackend(tmp_path / "store"), SECRET)
    repo = Repository.create(backend, staging, act=act, refs={})
    tip = history(repo, 30)
    repo.close()
    again = Repository.open(open_encrypted(LocalBackend(tmp_path / "store"), SECRET), staging)
    assert again.view().commit("heads/secret-branch") == tip
    assert again.commit(tip).message == "secret 29"
    assert check(again).damage == ()
    again.close()
    names = [file.name for file in (tmp_path / "store").rglob("*")]
    assert names
    for file in (tmp_path / "store").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not any(word in data for word in (b"secret", b"ada", b"heads", b"DSVC", b"\x28\xb5\x2f\xfd")), file
    for ref in ("head", "format"):
        assert ref not in names
    assert list((tmp_path / "staging").iterdir()) == []


def test_threads_share_a_backend() -> None:
    _, backend = place(**{f"x{n}": bytes([n]) * (SEGMENT + n) for n in range(20)})
    right: list[int] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(100):
            n, start = chance.randrange(20), chance.randrange(SEGMENT - 20)
            assert backend.get(f"packs/x{n}", offset=start, length=20) == bytes([n]) * 20
            assert backend.get(f"packs/x{n}", offset=SEGMENT - 5) == bytes([n]) * (5 + n)
        right.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(right) == [0, 1, 2, 3]


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(Exception, match="needs the package cryptography") as caught:
        Keys.of(bytes(32))
    assert caught.value.hint == "pip install 'dsvc[encrypt]'"  # type: ignore[attr-defined]
