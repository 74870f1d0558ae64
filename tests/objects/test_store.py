"""What goes into the store comes out of it, once, whole, or with an error that says which pack is damaged."""

import io
import random
import threading

import pytest
from blake3 import blake3

from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.files import EMPTY_FILE, ObjectDamagedError, hash_content, is_small
from dsvc.objects.ids import Kind, content_id, object_id
from dsvc.objects.packlist import PackClass, PackList
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.storage.memory import MemoryBackend


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def stored_bytes(backend):
    return sum(size for _, size in backend.list("packs/"))


def reopened(store, tmp_path, packs):
    again = ObjectStore(store.backend, lambda: tmp_path)
    again.show(PackList(tuple(packs)))
    return again


@pytest.mark.parametrize("size", [0, 1, SMALL_LIMIT - 1, SMALL_LIMIT, SMALL_LIMIT + 1, 3 * SMALL_LIMIT + 7])
@pytest.mark.parametrize("way", ["content", "stream", "short reads"])
def test_a_file_comes_back_under_the_id_that_b3sum_prints(memory_store, tmp_path, size, way):
    data = noise(size)
    if way == "content":
        file_id = memory_store.put_content(data)
    else:
        source = io.BytesIO(data)
        step = 100_003 if way == "short reads" else 1 << 30
        file_id, length = memory_store.put_stream(lambda n: source.read(min(n, step)))
        assert length == size
    assert file_id == blake3(data).digest() == hash_content(io.BytesIO(data).read)
    for store in (memory_store, reopened(memory_store, tmp_path, memory_store.flush())):
        assert store.has_file(file_id)
        assert store.read_file(file_id) == data
        assert store.file_size(file_id) == size
        assert store.has(file_id, Kind.CHUNK) == is_small(size) == (size <= SMALL_LIMIT)
        assert store.has(file_id, Kind.FILE_MAP) != is_small(size)


def test_the_empty_file(memory_store):
    assert memory_store.put_content(b"") == EMPTY_FILE == content_id(b"")
    assert memory_store.read_file(EMPTY_FILE) == b""
    assert list(memory_store.file_chunks(EMPTY_FILE)) == [b""]


@pytest.mark.parametrize("size", [1000, 2_000_000])
def test_reading_may_start_anywhere(memory_store, size):
    data = noise(size)
    file_id = memory_store.put_content(data)
    for start in (0, 1, size // 3, SMALL_LIMIT, size - 1, size):
        if start <= size:
            assert b"".join(memory_store.file_chunks(file_id, start=start)) == data[start:]


def test_objects_are_read_before_and_after_they_are_flushed(memory_store):
    text, ids = "x" * 500, []
    for n in range(3000):
        ids.append(memory_store.put(Kind.COMMIT, b"%d%s" % (n, text.encode())))
        assert memory_store.get(ids[n // 2], Kind.COMMIT).startswith(b"%d" % (n // 2))
    packs = memory_store.flush()
    assert [p.pack_class for p in packs] == [PackClass.METADATA]
    assert [memory_store.get(i, Kind.COMMIT) for i in ids] == [b"%d%s" % (n, text.encode()) for n in range(3000)]


def test_several_chunks_are_read_in_the_order_asked_for(memory_store):
    large, small = noise(2_000_000, 5), [noise(200 + i, i) for i in range(50)]
    file_id = memory_store.put_content(large)
    ids = [memory_store.put_content(data) for data in small]
    parts = [part.id for _, part in memory_store.file_parts(file_id)]
    wanted = [ids[3], *parts[2:7], parts[0], ids[3], *ids[:2], *parts[6:], *parts]
    expected = [memory_store.get(chunk_id, Kind.CHUNK) for chunk_id in wanted]
    assert memory_store.get_chunks(wanted) == expected
    memory_store.flush()
    assert memory_store.get_chunks(wanted) == expected
    assert b"".join(memory_store.get_chunks(parts)) == large
    with pytest.raises(ObjectMissingError):
        memory_store.get_chunks([*parts, b"\1" * 32])


def test_each_class_of_objects_has_its_packs(memory_store):
    memory_store.put(Kind.COMMIT, b"commit")
    memory_store.put_content(b"small")
    memory_store.put_content(noise(SMALL_LIMIT + 1))
    assert sorted(p.pack_class for p in memory_store.flush()) == sorted(PackClass)


@pytest.mark.parametrize("size", [1000, 2_000_000])
def test_the_same_content_is_stored_once(memory_store, tmp_path, size):
    data = noise(size)
    for _ in range(3):
        memory_store.put_content(data)
    packs = memory_store.flush()
    once = stored_bytes(memory_store.backend)
    assert once < size * 1.01 + 1000
    memory_store.put_content(data)
    assert memory_store.flush() == packs  # not published yet
    again = reopened(memory_store, tmp_path, packs)
    again.put_content(data)
    assert again.flush() == []
    assert stored_bytes(memory_store.backend) == once


def test_chunks_that_repeat_are_stored_once(memory_store):
    block = noise(3_000_000)
    file_id = memory_store.put_content(block * 4)
    memory_store.put_content(block * 3 + b"end")
    memory_store.flush()
    assert stored_bytes(memory_store.backend) < 1.3 * len(block)
    assert memory_store.read_file(file_id) == block * 4


def test_one_id_may_stand_for_objects_of_two_kinds(memory_store):
    """A file map is stored under its file's id, which another store may hold as a chunk."""
    payload = b"payload"
    chunk = memory_store.put(Kind.CHUNK, payload)
    tree = memory_store.put(Kind.TREE, payload)
    assert chunk != tree
    assert not memory_store.has(chunk, Kind.TREE)
    memory_store.flush()
    assert memory_store.missing([(chunk, Kind.CHUNK), (chunk, Kind.TREE), (tree, Kind.TREE)]) == [(chunk, Kind.TREE)]
    with pytest.raises(ObjectMissingError, match=f"tree {chunk.hex()} is not in the store"):
        memory_store.get(chunk, Kind.TREE)


def test_what_was_abandoned_is_gone(memory_store, tmp_path):
    i = memory_store.put(Kind.COMMIT, b"x")
    memory_store.put_content(noise(3_000_000))
    memory_store.abandon()
    assert not memory_store.has(i, Kind.COMMIT)
    assert memory_store.flush() == []
    assert list(tmp_path.iterdir()) == []
    assert memory_store.put(Kind.COMMIT, b"x") == i
    assert memory_store.get(i, Kind.COMMIT) == b"x"


def test_objects_are_found_by_the_first_digits_of_their_ids(memory_store):
    ids = sorted(memory_store.put(Kind.COMMIT, b"%d" % n) for n in range(600))
    memory_store.flush()
    for digits in (0, 1, 2, 3, 5, 63, 64):
        wanted = ids[77].hex()[:digits]
        assert memory_store.find(wanted) == [(i, Kind.COMMIT) for i in ids if i.hex().startswith(wanted)]
    assert memory_store.find("0" * 64) == []


def test_many_packs_answer_together(memory_store, tmp_path):
    packs, ids = [], []
    for n in range(12):
        ids.append(memory_store.put_content(b"%d" % n))
        packs = memory_store.flush()
    assert len(packs) == 12
    again = reopened(memory_store, tmp_path, packs)
    assert [again.read_file(i) for i in ids] == [b"%d" % n for n in range(12)]
    again.show(PackList(tuple(packs[6:])))
    assert [again.has_file(i) for i in ids] == [False] * 6 + [True] * 6


# Several maps for one file, and lies in them.


def with_maps(tmp_path, data, maps):
    """Return a store of the chunks of `data` and of these payloads as maps of it."""
    backend = MemoryBackend()
    plain = ObjectStore(backend, lambda: tmp_path)
    file_id = plain.put_content(data)
    chunks = [part for _, part in plain.file_parts(file_id)]
    packs = []
    for payload in maps(chunks):
        other = ObjectStore(backend, lambda: tmp_path)
        other._writer().put(Kind.FILE_MAP, payload, own_id=file_id)
        packs += other.flush()
    good = plain.flush()
    store = ObjectStore(backend, lambda: tmp_path)
    return store, file_id, packs, good


def page(parts):
    from dsvc.objects.filemap import encode_page

    return encode_page(0, parts)


def test_where_one_map_fails_the_next_one_is_read(tmp_path):
    from dsvc.objects.filemap import Part

    data = noise(2_000_000)
    absent = Part(content_id(b"never stored"), 70_000)

    def maps(chunks):
        yield page([*chunks[:3], absent, *chunks[4:]])
        yield page([absent, *chunks[1:]])
        yield b"\xc1 is no map"
        yield page([chunks[0]._replace(length=5), *chunks[1:]])
        yield page(chunks)

    store, file_id, claims, good = with_maps(tmp_path, data, maps)
    for first in range(len(claims)):
        order = [*claims[first:], *claims[:first]]
        store.show(PackList((*order, *good)))
        assert store.read_file(file_id) == data
        assert b"".join(store.file_chunks(file_id, start=1_234_567)) == data[1_234_567:]


def test_a_map_that_yields_another_content_is_an_error(tmp_path):
    data = noise(2_000_000)
    backend = MemoryBackend()
    store = ObjectStore(backend, lambda: tmp_path)
    chunks = [part for _, part in store.file_parts(store.put_content(data))]
    wrong = store._writer().put(Kind.FILE_MAP, page([chunks[1], chunks[0]]), own_id=content_id(b"claimed"))
    store.flush()
    with pytest.raises(ObjectDamagedError, match=wrong.hex()):
        store.read_file(wrong)


def test_threads_read_while_one_thread_writes(memory_store):
    contents = {memory_store.put_content(noise(n * 700, seed=n)): noise(n * 700, seed=n) for n in range(60)}
    contents[memory_store.put_content(noise(1_500_000))] = noise(1_500_000)
    memory_store.flush()
    failures, stop = [], threading.Event()

    def read(seed):
        order = random.Random(seed)
        try:
            while not stop.is_set():
                file_id = order.choice(list(contents))
                if memory_store.read_file(file_id) != contents[file_id]:
                    failures.append(file_id)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for n in range(300):
        memory_store.put(Kind.COMMIT, b"%d" % n)
        memory_store.put_content(noise(5000, seed=-n))
        if n % 50 == 49:
            memory_store.flush()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_ids_are_those_of_the_payload(memory_store):
    for kind in (Kind.TREE, Kind.COMMIT, Kind.RUN, Kind.MAP_PAGE):
        assert memory_store.put(kind, b"payload") == object_id(kind, b"payload")
