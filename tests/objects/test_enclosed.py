"""A pack that came enclosed in something else: anybody may have written it."""

from dataclasses import dataclass

import pytest

from dsvc.objects.enclosed import open_enclosed
from dsvc.objects.encodings import Encoder
from dsvc.objects.ids import Kind, object_id
from dsvc.objects.packref import PackClass
from dsvc.objects.packwriter import PackWriter


@dataclass
class Written:
    ref: object
    body: bytes


def pack_of(folder, *payloads):
    """Return a pack with a frame for each of these trees."""
    writer = PackWriter(folder, PackClass.METADATA)
    for payload in payloads:
        encoding, stored = Encoder().encode(payload)
        writer.append(encoding, stored, len(payload), [(object_id(Kind.TREE, payload), Kind.TREE, 0, len(payload))])
    ref = writer.finish()
    return Written(ref, writer.path.read_bytes())


def test_a_pack_is_read_from_its_bytes(tmp_path):
    pack = pack_of(tmp_path, b"one" * 900, b"two")
    opened = open_enclosed(pack.ref, pack.body)
    assert opened.frames == [b"one" * 900, b"two"]
    assert opened.table.find(object_id(Kind.TREE, b"two")).kind == Kind.TREE


@pytest.mark.parametrize("at", [9, 40, -60, -1])
def test_a_changed_byte_makes_it_worth_nothing(tmp_path, at):
    pack = pack_of(tmp_path, bytes(range(256)))
    changed = bytearray(pack.body)
    changed[at] ^= 1
    opened = open_enclosed(pack.ref, bytes(changed))
    assert opened is None or opened.frames == [bytes(range(256))]  # what is not looked at may be anything


def test_little_that_claims_to_be_much_is_left_alone(tmp_path):
    pack = pack_of(tmp_path, bytes(2 << 20))
    assert len(pack.body) < 8192
    assert open_enclosed(pack.ref, pack.body) is None
