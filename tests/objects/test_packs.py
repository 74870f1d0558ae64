"""Damage in a pack: what can still be read is read, and the error for the rest names the pack."""

import random

import pytest

from dsvc.errors import IntegrityError
from dsvc.objects.files import ObjectDamagedError
from dsvc.objects.ids import Kind, content_id
from dsvc.objects.packindex import PackIndex
from dsvc.objects.packlist import PackList
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.storage.local import LocalBackend

TEXT = b"".join(b"line %d of a text that compresses\n" % n for n in range(400))


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "staging").mkdir()
    return tmp_path


def new_store(place, packs=()):
    store = ObjectStore(LocalBackend(place / "store"), lambda: place / "staging")
    store.show(PackList(tuple(packs)))
    return store


def one_pack(place, *contents):
    """Store contents in a pack of their own; return what the list says of it."""
    store = new_store(place)
    for content in contents:
        store.put_content(content)
    (pack,) = store.flush()
    store.close()
    return pack


def damage(place, pack, at, replacement=None):
    path = place / "store" / pack.key
    data = bytearray(path.read_bytes())
    if replacement is None:
        data[at] ^= 0x55
    else:
        data[at : at + len(replacement)] = replacement
    path.chmod(0o644)
    path.write_bytes(data)


def first_frame(place, pack):
    data = (place / "store" / pack.key).read_bytes()
    return PackIndex(data[pack.index_offset : -24], pack.id).frame(0)


@pytest.mark.parametrize("content", [TEXT, noise(5000)], ids=["compressed", "raw"])
def test_a_damaged_frame_is_an_error_that_names_the_pack(place, content):
    pack = one_pack(place, content)
    frame = first_frame(place, pack)
    for at in (frame.offset, frame.offset + frame.stored // 2, frame.offset + frame.stored - 1):
        damage(place, pack, at)
        store = new_store(place, [pack])
        with pytest.raises(IntegrityError, match=pack.id.hex()) as caught:
            store.read_file(content_id(content))
        assert caught.value.exit_code == 15
        assert caught.value.hint == "dsvc fsck"
        damage(place, pack, at)
    assert new_store(place, [pack]).read_file(content_id(content)) == content


@pytest.mark.parametrize("content", [TEXT, noise(5000)], ids=["compressed", "raw"])
@pytest.mark.parametrize("part", ["frame", "index", "gone", "short"])
def test_where_one_copy_is_damaged_the_other_is_read(place, content, part):
    bad = one_pack(place, content, b"more, so that this pack is asked first")
    good = one_pack(place, content)
    assert bad.objects > good.objects
    match part:
        case "frame":
            damage(place, bad, first_frame(place, bad).offset + 9)
        case "index":
            damage(place, bad, bad.index_offset + 1)
        case "gone":
            (place / "store" / bad.key).unlink()
        case "short":
            path = place / "store" / bad.key
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:20])
    for order in ([bad, good], [good, bad]):
        store = new_store(place, order)
        assert store.read_file(content_id(content)) == content
        assert store.has_file(content_id(content))
        store.close()


def test_a_damaged_chunk_of_a_large_file_is_read_from_another_pack(place):
    data = noise(2_000_000)
    bad = one_pack(place, data)
    good = one_pack(place, data[: len(data) - 10] + b"other tail")
    damage(place, bad, first_frame(place, bad).offset + 100)
    with pytest.raises(ObjectDamagedError, match=bad.id.hex()):
        new_store(place, [bad]).read_file(content_id(data))
    assert new_store(place, [bad, good]).read_file(content_id(data)) == data


def test_a_damaged_index_is_named_and_hides_nothing_else(place):
    bad, good = one_pack(place, b"in the bad one"), one_pack(place, b"in the good one")
    damage(place, bad, bad.index_offset + 20)
    store = new_store(place, [bad, good])
    assert store.read_file(content_id(b"in the good one")) == b"in the good one"
    for question in (store.read_file, store.has_file):
        with pytest.raises(IntegrityError, match=f"index of pack {bad.id.hex()}"):
            question(content_id(b"in the bad one"))


def test_a_pack_that_is_gone_is_named(place):
    pack = one_pack(place, b"x")
    (place / "store" / pack.key).unlink()
    with pytest.raises(IntegrityError, match=pack.id.hex()):
        new_store(place, [pack]).read_file(content_id(b"x"))


def test_a_damaged_footer_stops_no_reader(place):
    """The list says where the index begins; the footer serves those that have no list."""
    pack = one_pack(place, TEXT)
    damage(place, pack, pack.size - 24, b"\0" * 24)
    assert new_store(place, [pack]).read_file(content_id(TEXT)) == TEXT


def test_an_object_of_another_content_is_not_returned(place):
    """Both texts compress to one frame each; exchanging the files leaves valid frames with wrong contents."""
    first, second = one_pack(place, noise(300)), one_pack(place, noise(300, seed=1))
    data = (place / "store" / second.key).read_bytes()
    damage(place, first, 0, data[: first.index_offset])
    store = new_store(place, [first])
    with pytest.raises(ObjectDamagedError, match=f"{content_id(noise(300)).hex()} is damaged in pack {first.id.hex()}"):
        store.read_file(content_id(noise(300)))


def test_a_writer_that_cannot_know_says_so(place):
    pack = one_pack(place, b"x")
    damage(place, pack, pack.index_offset)
    store = new_store(place, [pack])
    with pytest.raises(IntegrityError, match=pack.id.hex()):
        store.put_content(b"new")


def test_a_pack_that_was_replaced_is_looked_for_in_the_newest_list(place):
    old, new = one_pack(place, b"a", b"b"), one_pack(place, b"b", b"a", b"c")
    store = ObjectStore(
        LocalBackend(place / "store"), lambda: place / "staging", reread=lambda: PackList((new,), (old.id,))
    )
    store.show(PackList((old,)))
    (place / "store" / old.key).unlink()
    assert store.read_file(content_id(b"a")) == b"a"
    with pytest.raises(ObjectMissingError):
        store.get(content_id(b"never"), Kind.CHUNK)
