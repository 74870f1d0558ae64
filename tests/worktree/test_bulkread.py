"""Large files are read in order, from another version on disk where that has the chunk, and compared as a whole."""

from __future__ import annotations

import os
import random

import pytest

from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind
from dsvc.worktree.bulkread import Near, chunk_places, read_carefully, read_in_order


def noise(seed, size):
    return random.Random(seed).randbytes(size)


FIRST = noise(1, 3_000_000)
SECOND = FIRST[:1_400_000] + noise(2, 100_000) + FIRST[1_500_000:]


@pytest.fixture
def both(copy):
    return copy.store.put_content(FIRST), copy.store.put_content(SECOND)


def joined(pieces_of_pieces):
    return b"".join(bytes(piece) for pieces in pieces_of_pieces for piece in pieces)


def whole(store, file_id, **how):
    """The content as a checkout reads it."""
    try:
        return joined(read_in_order(store, file_id, **how))
    except IntegrityError:
        return joined(read_carefully(store, file_id))


def near(copy, place, content):
    path = copy.base / "near"
    path.write_bytes(content)
    return Near(os.open(path, os.O_RDONLY), chunk_places(copy.store, place))


def test_without_another_version(copy, both):
    assert whole(copy.store, both[1]) == SECOND
    small = copy.store.put_content(b"small")
    assert whole(copy.store, small) == b"small"


@pytest.mark.parametrize("content", [FIRST, b"", FIRST[:1_000_000], noise(3, 3_000_000), FIRST[1:], b"\0" + FIRST])
def test_whatever_the_other_version_holds_by_now(copy, both, content):
    assert whole(copy.store, both[1], near=near(copy, both[0], content)) == SECOND


def test_chunks_of_the_other_version_are_not_decoded(copy, both, monkeypatch):
    asked, real = [], copy.store.get_unverified
    monkeypatch.setattr(copy.store, "get_unverified", lambda wanted, how: asked.extend(wanted) or real(wanted, how))
    assert whole(copy.store, both[1], near=near(copy, both[0], FIRST)) == SECOND
    chunks = len(list(copy.store.file_parts(both[1])))
    assert 0 < len(asked) < chunks / 2


def test_a_file_that_is_not_stored(copy):
    assert chunk_places(copy.store, b"\1" * 32) == {}
    with pytest.raises(IntegrityError):
        list(read_in_order(copy.store, b"\1" * 32))


def test_a_map_that_yields_another_content_is_refused(copy, both, monkeypatch):
    real = copy.store.get
    swapped = {(both[1], Kind.FILE_MAP): (both[0], Kind.FILE_MAP)}
    monkeypatch.setattr(copy.store, "get", lambda wanted, kind: real(*swapped.get((wanted, kind), (wanted, kind))))
    with pytest.raises(IntegrityError, match="yields another content"):
        list(read_in_order(copy.store, both[1]))


def test_a_chunk_that_comes_twice_and_a_damaged_pack(copy):
    content = FIRST[:700_000] * 3
    file_id = copy.store.put_content(content)
    assert whole(copy.store, file_id, near=near(copy, file_id, content[:1_000_000])) == content
    (ref,) = (ref for ref in copy.store.flush() if ref.pack_class.name == "BULK")
    assert whole(copy.store, file_id) == content
    pack = copy.store.backend.get(ref.key)
    copy.store.backend.delete(ref.key)
    copy.store.backend.put(ref.key, damaged(pack, at=300_000))
    with pytest.raises(IntegrityError):
        whole(copy.store, file_id)
    assert whole(copy.store, file_id, near=near(copy, file_id, content)) == content


def test_damage_is_found_at_the_end_or_at_its_chunk(copy, both):
    (ref,) = (ref for ref in copy.store.flush() if ref.pack_class.name == "BULK")
    pack = copy.store.backend.get(ref.key)
    copy.store.backend.delete(ref.key)
    copy.store.backend.put(ref.key, damaged(pack, at=300_000))
    with pytest.raises(IntegrityError):
        joined(read_in_order(copy.store, both[0]))
    with pytest.raises(IntegrityError):
        joined(read_carefully(copy.store, both[0]))


def damaged(pack, *, at):
    return pack[:at] + bytes([pack[at] ^ 1]) + pack[at + 1 :]


def test_a_reader_that_stops_early(copy, both):
    pieces = read_in_order(copy.store, both[1])
    next(pieces)
    pieces.close()
