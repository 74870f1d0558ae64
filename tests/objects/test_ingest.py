"""The way into packs: they end when they are full, leave nothing behind on failure, and need little memory."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dsvc.errors import IntegrityError
from dsvc.objects import packwriter
from dsvc.objects.ids import Kind
from dsvc.objects.packlist import PackClass, PackList
from dsvc.objects.store import ObjectStore
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def test_a_full_pack_ends_and_the_next_one_begins(memory_store, tmp_path, monkeypatch):
    monkeypatch.setattr(packwriter, "MAX_BYTES", 1_000_000)
    contents = [noise(100_000, seed=n) for n in range(30)] + [noise(4_000_000, seed=99)]
    ids = [memory_store.put_content(content) for content in contents]
    packs = memory_store.flush()
    classes = [p.pack_class for p in packs]
    assert classes.count(PackClass.SMALL) >= 3
    assert classes.count(PackClass.BULK) >= 4
    assert all(p.size < 1_600_000 for p in packs)
    again = ObjectStore(memory_store.backend, lambda: tmp_path)
    again.show(PackList(tuple(packs)))
    assert [again.read_file(i) for i in ids] == contents


def test_a_pack_holds_at_most_so_many_objects(memory_store, monkeypatch):
    monkeypatch.setattr(packwriter, "MAX_OBJECTS", 100)
    ids = [memory_store.put(Kind.COMMIT, b"%d" % n + b"x" * 5000) for n in range(1000)]
    packs = memory_store.flush()
    assert len(packs) >= 5
    assert sum(p.objects for p in packs) == 1000
    assert all(memory_store.get(i, Kind.COMMIT).startswith(b"%d" % n) for n, i in enumerate(ids))


def test_content_is_known_across_packs_of_one_flush(memory_store, monkeypatch):
    monkeypatch.setattr(packwriter, "MAX_BYTES", 500_000)
    data = noise(2_000_000)
    memory_store.put_content(data)
    memory_store.put_content(b"head" + data)
    memory_store.put_content(data)
    assert sum(p.size for p in memory_store.flush()) < 1.2 * len(data)


def test_a_source_that_fails_leaves_the_store_usable(memory_store, tmp_path):
    left = [noise(1_000_000)] * 5

    def read(size):
        if not left:
            raise OSError("the disk of the source is broken")
        return left.pop()[:size]

    with pytest.raises(OSError, match="broken"):
        memory_store.put_stream(read)
    file_id = memory_store.put_content(noise(700_000, seed=5))
    assert memory_store.read_file(file_id) == noise(700_000, seed=5)
    memory_store.flush()
    assert memory_store.read_file(file_id) == noise(700_000, seed=5)


def test_a_source_that_delivers_little_at_a_time(memory_store):
    data = noise(900_000)
    at = 0

    def read(size):
        nonlocal at
        step = min(size, 1 + at % 50_000)
        at += step
        return data[at - step : at]

    file_id, length = memory_store.put_stream(read)
    assert length == len(data)
    assert memory_store.read_file(file_id) == data


def test_the_same_objects_give_the_same_frames(tmp_path):
    """Packs differ in nothing that matters between two runs, so a test or a benchmark can be repeated."""
    sizes = []
    for _ in range(2):
        store = ObjectStore(MemoryBackend(), lambda: tmp_path)
        for n in range(200):
            store.put_content(b"%d" % n * 1000)
        sizes.append([(p.pack_class, p.objects, p.size) for p in store.flush()])
        store.close()
    assert sizes[0] == sizes[1]


FULL_DISK = """
import os, resource, signal, sys
from pathlib import Path
from dsvc.objects.store import ObjectStore
from dsvc.objects.ids import Kind
from dsvc.storage.local import LocalBackend

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
place = Path(sys.argv[1])
store = ObjectStore(LocalBackend(place / "store"), lambda: place / "staging")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    for n in range(40):
        store.put_content(os.urandom(100_000))
    store.put_content(os.urandom(3_000_000))
    store.put(Kind.COMMIT, b"commit")
    store.flush()
except OSError as error:
    print("refused:", error.strerror)
store.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sorted(path.name for path in (place / "staging").iterdir()))
print(sum(1 for path in place.rglob("*") if path.is_file() and path.name.endswith(".tmp")))
"""


@pytest.mark.parametrize("limit", [0, 8, 50_000, 1_000_000])
def test_a_full_disk_is_reported_and_nothing_is_left_behind(tmp_path, limit):
    for name in ("store", "staging"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, str(limit)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["refused: File too large", "[]", "0"]


LARGE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from blake3 import blake3
from dsvc.objects import packwriter
from dsvc.objects.store import ObjectStore
from dsvc.storage.memory import MemoryBackend

class Indexes(MemoryBackend):
    def put(self, key, source):
        data = source.read_bytes()
        offset, _, _ = packwriter.FOOTER.unpack(data[-packwriter.FOOTER.size :])
        super().put(key, data[offset:])
        source.unlink()

    def get(self, key, *, offset=0, length=None):
        return super().get(key, length=length)

packwriter.MAX_BYTES = 32 << 20  # so that little of it lies on the disk at any moment
store = ObjectStore(Indexes(), lambda: Path(sys.argv[1]))
left = 600 << 20

def read(size):
    global left
    size = min(size, left)
    left -= size
    return blake3(b"%d" % left).digest(length=size)

file_id, length = store.put_stream(read)
# Not getrusage: what the process that started this one ever held counts there.
status = Path("/proc/self/status").read_text()
print(length, int(status.partition("VmHWM:")[2].split()[0]) >> 10)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure memory")
def test_a_file_larger_than_the_memory_goes_through_little_of_it(tmp_path):
    done = subprocess.run([sys.executable, "-c", LARGE, tmp_path], capture_output=True, text=True, check=True)
    length, mebibytes = map(int, done.stdout.split())
    assert length == 600 << 20
    assert mebibytes < 300


def test_an_error_while_delivering_reaches_the_caller(tmp_path):
    class Refusing(LocalBackend):
        def put(self, key, source):
            raise IntegrityError("refused")

    store = ObjectStore(Refusing(tmp_path), lambda: tmp_path)
    store.put(Kind.COMMIT, b"x")
    with pytest.raises(IntegrityError, match="refused"):
        store.flush()
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_chunks_that_a_known_map_lacks_are_stored(tmp_path):
    """As in a partial clone, or after damaged chunks were taken out: the map alone does not say that all is there."""
    (tmp_path / "store").mkdir()
    store = ObjectStore(LocalBackend(tmp_path / "store"), lambda: tmp_path)
    file = tmp_path / "file"
    file.write_bytes(noise(2_000_000))
    file_id = store.put_content(file.read_bytes())
    payload = store.get(file_id, Kind.FILE_MAP)
    store.abandon()
    store._writer().put(Kind.FILE_MAP, payload, own_id=file_id)
    packs = store.flush()
    assert store.has(file_id, Kind.FILE_MAP)
    assert store.put_whole(file, shared=None, advance=lambda _: None) == (file_id, 2_000_000)
    packs = store.flush()
    again = ObjectStore(store.backend, lambda: tmp_path)
    again.show(PackList(tuple(packs)))
    assert again.read_file(file_id) == noise(2_000_000)
    store.close()


def test_many_threads_read_what_is_on_its_way(memory_store):
    content = noise(6_000_000, seed=7)
    for turn in range(5):
        file_id = memory_store.put_content(b"%d" % turn + content)
        ids = [part.id for _, part in memory_store.file_parts(file_id)]
        with ThreadPoolExecutor(8) as pool:
            read = pool.map(lambda chunk_id: memory_store.get(chunk_id, Kind.CHUNK), ids)
            assert b"".join(read) == b"%d" % turn + content
