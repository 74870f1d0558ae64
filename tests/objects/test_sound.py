"""What changes on its way from one pack to another is read again, and never takes the place of what was right."""

import random

import pytest

from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind, content_id, object_id
from dsvc.objects.packlist import PackClass, PackList
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.store import ObjectStore
from dsvc.remotes.transfer.gathered import GatheredBackend
from dsvc.storage.memory import MemoryBackend
from dsvc.storage.passing import PassingBackend


class Flipping(PassingBackend):
    """Turns a bit in the reads that hold the byte `at` of a pack, so many times."""

    def __init__(self, inner):
        super().__init__(inner)
        self.at, self.times = None, 0

    def get(self, key, *, offset=0, length=None):
        data = self.inner.get(key, offset=offset, length=length)
        if self.at is None or not self.times or key != self.at[0] or not offset <= self.at[1] < offset + len(data):
            return data
        self.times -= 1
        changed = bytearray(data)
        changed[self.at[1] - offset] ^= 1
        return bytes(changed)


class Packs:
    """One pack a class: small files that compress and not, a large file, some metadata."""

    def __init__(self, folder):
        self.folder = folder
        self.backend = Flipping(MemoryBackend())
        store = ObjectStore(self.backend, lambda: folder)
        draw = random.Random(1)
        self.small = [store.put_content(draw.randbytes(900)) for _ in range(5)]
        self.large = store.put_content(draw.randbytes(900_000))
        self.noted = store.put(Kind.STATE, b"\x93\x01\x02\x03")
        self.refs = store.flush()
        store.close()

    def open(self, backend):
        store = ObjectStore(backend, lambda: self.folder)
        store.show(PackList(tuple(self.refs)))
        return store

    def flip(self, store, wanted, kind, times):
        """Turn a bit in the middle of the frame in which an object lies."""
        ref, place = store.packs.find(wanted, kind)
        frame = store.packs.index(ref).frame(place.frame)
        self.backend.at, self.backend.times = (ref.key, frame.offset + frame.stored // 2), times

    def rewrite(self, store):
        made, whole = [], MemoryBackend()

        def deliver(ref, path):
            whole.put(ref.key, path)
            made.append(ref)

        for pack_class in PackClass:
            refs = [ref for ref in self.refs if ref.pack_class == pack_class]
            rewrite_packs(store.packs, refs, lambda: self.folder, deliver=deliver)
        found = ObjectStore(whole, lambda: self.folder)
        found.show(PackList(tuple(made)))
        return found

    def assert_whole(self, store):
        assert [content_id(store.read_file(file_id)) for file_id in self.small] == self.small
        assert content_id(store.read_file(self.large)) == self.large
        assert object_id(Kind.STATE, store.get(self.noted, Kind.STATE)) == self.noted


@pytest.fixture(params=["at hand", "gathered"])
def packs(tmp_path, request):
    made = Packs(tmp_path)
    made.outer = made.backend if request.param == "at hand" else GatheredBackend(made.backend, tmp_path / "a", jobs=2)
    return made


def places(packs, store):
    chunk = next(i for i, place in store.packs.index(bulk(packs)).objects() if place.kind == Kind.CHUNK)
    return {
        "small": (packs.small[2], Kind.CHUNK),
        "chunk": (chunk, Kind.CHUNK),
        "map": (packs.large, Kind.FILE_MAP),
        "state": (packs.noted, Kind.STATE),
    }


def bulk(packs):
    return next(ref for ref in packs.refs if ref.pack_class == PackClass.BULK)


@pytest.mark.parametrize("what", ["small", "chunk", "map", "state"])
def test_a_bit_that_is_turned_once(packs, what):
    store = packs.open(packs.outer)
    packs.flip(store, *places(packs, store)[what], times=1)
    written = packs.rewrite(store)
    assert packs.backend.times == 0, "nothing was turned"
    packs.assert_whole(written)


@pytest.mark.parametrize("what", ["small", "chunk", "state"])
def test_a_bit_that_stays_turned(packs, what):
    store = packs.open(packs.outer)
    packs.flip(store, *places(packs, store)[what], times=1000)
    with pytest.raises(IntegrityError, match="cannot be written anew"):
        packs.rewrite(store)
