"""Merging packs: few of them stay, nothing is stored twice, and every object comes back."""

import random

import pytest

from dsvc.objects.encodings import Encoder
from dsvc.objects.ids import Kind, PackId, content_id
from dsvc.objects.packindex import Frame
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.packwriter import PackWriter
from dsvc.objects.repack import FACTOR, LARGE_BYTES, choose_packs, rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.storage.memory import MemoryBackend


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def ref(number, size, pack_class=PackClass.METADATA, objects=10):
    return PackRef(PackId(number.to_bytes(32, "big")), pack_class, size, 16, objects)


def merged(packs):
    """Apply the rule as if every group became one pack of the summed size."""
    for group in choose_packs(packs):
        gone = {p.id for p in group}
        size = sum(p.size for p in group)
        new = ref(random.getrandbits(200), size, group[0].pack_class, sum(p.objects for p in group))
        packs = [p for p in packs if p.id not in gone] + [new]
    return packs


def test_a_few_packs_are_left_alone():
    assert choose_packs([]) == []
    assert choose_packs([ref(n, 1000) for n in range(7)]) == []


def test_ten_thousand_publishes_leave_few_packs_and_each_byte_is_written_few_times():
    packs, written = [], 0
    for number in range(10_000):
        packs.append(ref(number, 1000, objects=1))
        before = {p.id for p in packs}
        packs = merged(packs)
        written += sum(p.size for p in packs if p.id not in before)
        assert len(packs) < 24
    assert written < 10_000 * 1000 * 14


def test_large_packs_are_not_touched():
    large = [ref(n, LARGE_BYTES) for n in range(20)]
    assert choose_packs(large) == []
    (group,) = choose_packs([*large, *(ref(100 + n, 500) for n in range(9))])
    assert all(p.size == 500 for p in group)


def test_a_run_is_bounded_in_bytes():
    groups = choose_packs([ref(n, 10 << 20) for n in range(50)], most=64 << 20, slack=2)
    assert sum(p.size for p in groups[0]) <= 64 << 20


def test_what_is_left_is_geometric():
    generator = random.Random(5)
    packs = [ref(n, generator.randrange(100, 1_000_000)) for n in range(60)]
    left = packs
    while groups := choose_packs(left, slack=2):
        gone = {p.id for group in groups for p in group}
        left = [p for p in left if p.id not in gone] + [
            ref(generator.getrandbits(200), sum(p.size for p in group)) for group in groups
        ]
    sizes = sorted(p.size for p in left)
    assert all(size >= FACTOR * sum(sizes[:n]) for n, size in enumerate(sizes))


def test_classes_are_not_mixed():
    packs = [ref(n, 1000, PackClass.SMALL if n % 2 else PackClass.BULK) for n in range(20)]
    groups = choose_packs(packs)
    assert len(groups) == 2
    assert all(len({p.pack_class for p in group}) == 1 for group in groups)


@pytest.fixture
def backend():
    return MemoryBackend()


@pytest.fixture(params=["keep", "only"])
def rewrite(request, backend, tmp_path):
    """Rewrite packs, what stays said by a function or by positions."""

    def run(refs, keep=None):
        packs = PackSet(backend)
        stays = {"keep": keep}
        if keep is not None and request.param == "only":
            stays = {"only": {r.id: [p for p in range(packs.index(r).count) if keep(r, p)] for r in refs}}
        made = rewrite_packs(
            packs, refs, lambda: tmp_path, deliver=lambda new, path: backend.put(new.key, path), **stays
        )
        assert list(tmp_path.iterdir()) == []
        store = ObjectStore(backend, lambda: tmp_path)
        store.show(PackList(tuple(made)))
        return made, store

    return run


def write(backend, tmp_path, put):
    """Put into a store of its own, so that nothing is known, and return the packs."""
    store = ObjectStore(backend, lambda: tmp_path)
    put(store)
    return store.flush()


def test_tiny_frames_become_groups_and_identical_objects_one(backend, tmp_path, rewrite):
    texts = [b"line %d of a file\n" % n * 20 for n in range(60)]
    refs = []
    for text in texts:
        refs += write(backend, tmp_path, lambda store, text=text: [store.put_content(t) for t in (text, texts[0])])
    made, store = rewrite(refs)
    assert len(made) == 1
    assert made[0].objects == len(texts)
    assert made[0].size < sum(r.size for r in refs) / 4
    assert [store.read_file(content_id(text)) for text in texts] == texts


def test_large_files_keep_their_chunks_and_maps(backend, tmp_path, rewrite):
    files = [noise(n, 400_000) for n in range(3)] + [noise(0, 400_000) + noise(9, 300_000)]
    refs = []
    for data in files:
        refs += write(backend, tmp_path, lambda store, data=data: store.put_content(data))
    made, store = rewrite(refs)
    assert len(made) == 1
    assert made[0].size < 1_600_000  # the common chunks are there once
    assert [store.read_file(content_id(data)) for data in files] == files


def test_what_is_not_kept_is_gone(backend, tmp_path, rewrite):
    small = [noise(n, 3000) for n in range(40)]
    refs = write(backend, tmp_path, lambda store: [store.put_content(data) for data in small])
    keep_ids = {content_id(data) for data in small[::2]}
    index = PackSet(backend).index(refs[0])
    made, store = rewrite(refs, keep=lambda _, position: index.id_at(position) in keep_ids)
    assert made[0].objects == 20
    assert all(store.read_file(content_id(data)) == data for data in small[::2])
    assert not any(store.has(content_id(data), Kind.CHUNK) for data in small[1::2])
    assert not any(noise(1, 3000)[:40] in backend.get(new.key) for new in made)


def test_nothing_kept_makes_no_pack(backend, tmp_path, rewrite):
    refs = write(backend, tmp_path, lambda store: store.put_content(b"x"))
    assert rewrite(refs, keep=lambda *_: False)[0] == []


def deltas(backend, tmp_path, seed):
    """A pack with a chain: a base, a delta on it, a delta on the delta."""
    encoder = Encoder()
    writer = PackWriter(tmp_path, PackClass.BULK)
    versions = [noise(seed, 100_000)]
    versions += [versions[0] + b"2nd", versions[0] + b"2nd3rd"]
    writer.append(0, versions[0], 100_000, [(content_id(versions[0]), Kind.CHUNK, 0, 100_000)])
    for number, data in enumerate(versions[1:]):
        encoding, stored = encoder.encode_delta(data, versions[number])
        frame = Frame(0, 0, len(data), number, encoding)
        writer.append_delta(frame, stored, [(content_id(data), Kind.CHUNK, 0, len(data))])
    made = writer.finish()
    backend.put(made.key, writer.path)
    return made, versions


def test_deltas_stay_deltas_when_all_of_a_pack_stays(backend, tmp_path, rewrite):
    one, first = deltas(backend, tmp_path, 1)
    two, second = deltas(backend, tmp_path, 2)
    made, store = rewrite([one, two])
    assert made[0].size < one.size + two.size
    assert all(store.read_file(content_id(data)) == data for data in first + second)


def test_a_delta_outlives_its_base(backend, tmp_path, rewrite):
    one, versions = deltas(backend, tmp_path, 1)
    index = PackSet(backend).index(one)
    last = content_id(versions[2])
    made, store = rewrite([one], keep=lambda _, position: index.id_at(position) == last)
    assert made[0].objects == 1
    assert store.read_file(last) == versions[2]


def test_a_pack_written_twice_has_two_ids(backend, tmp_path):
    """A pack that was condemned must not come back under the same key."""
    (one,) = write(backend, tmp_path, lambda store: store.put_content(b"same"))
    (two,) = write(backend, tmp_path, lambda store: store.put_content(b"same"))
    assert one.id != two.id
