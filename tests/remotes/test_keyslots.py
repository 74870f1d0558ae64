"""Passphrases and key files that open an encrypted place."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dsvc.errors import RequestError
from dsvc.objects import codec
from dsvc.remotes.encryption import keyslots
from dsvc.remotes.encryption.backend import create_encrypted, open_encrypted
from dsvc.remotes.encryption.keyslots import (
    CELL,
    BadKeyFileError,
    DamagedSlotsError,
    KeyFile,
    NotEncryptedError,
    Passphrase,
    PlaceInUseError,
    WrongSecretError,
    add_slot,
    change_secret,
    create_slots,
    is_encrypted,
    list_slots,
    make_key_file,
    read_key_file,
    remove_slot,
    unlock,
)
from dsvc.storage.backend import SwapUncertainError
from dsvc.storage.memory import MemoryBackend

FILE = KeyFile(b"f" * 32)
OTHER = KeyFile(b"o" * 32)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases at a cost of milliseconds; one test takes the real one."""
    monkeypatch.setattr(keyslots, "_COST", 10)


def test_a_passphrase_opens_a_place() -> None:
    place = MemoryBackend()
    backend = create_encrypted(place, Passphrase("correct horse"))
    backend.put("packs/x", b"plain")
    assert is_encrypted(place)
    assert open_encrypted(place, Passphrase("correct horse")).get("packs/x") == b"plain"
    for wrong in (Passphrase("battery staple"), Passphrase("Correct horse"), Passphrase(""), FILE):
        with pytest.raises(WrongSecretError, match="does not open with") as caught:
            open_encrypted(place, wrong)
        assert caught.value.exit_code == 14


def test_the_usual_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    place = MemoryBackend()
    master = create_slots(place, Passphrase("x"))
    assert unlock(place, Passphrase("x")) == master


def test_accents_may_be_typed_in_either_way() -> None:
    place = MemoryBackend()
    master = create_slots(place, Passphrase("caf\u00e9"))
    assert unlock(place, Passphrase("cafe\u0301")) == master


def test_nothing_shows_a_secret() -> None:
    assert "horse" not in repr(Passphrase("horse"))
    assert "ffff" not in repr(FILE)
    place = MemoryBackend()
    assert create_slots(place, FILE).hex() not in repr(create_encrypted(MemoryBackend(), FILE)._keys)
    with pytest.raises(RequestError, match="empty"):
        create_slots(MemoryBackend(), Passphrase(""))


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = make_key_file(path)
    assert read_key_file(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadKeyFileError, match="there already"):
        make_key_file(path)
    assert read_key_file(path) == made
    for content in (b"", b"secret", b"00" * 31, b"00" * 33, b"\xff" * 64, b"zz" * 32):
        path.write_bytes(content)
        with pytest.raises(BadKeyFileError, match="no key file"):
            read_key_file(path)
    with pytest.raises(BadKeyFileError, match="No such file"):
        read_key_file(tmp_path / "none")


def test_slots_come_and_go() -> None:
    place = MemoryBackend()
    master = create_slots(place, Passphrase("one"), label="ada")
    added = add_slot(place, Passphrase("one"), FILE, label="build server")
    assert (added.kind, added.label) == ("key-file", "build server")
    changed = change_secret(place, Passphrase("one"), Passphrase("two"))
    assert changed.label == "ada"
    assert unlock(place, Passphrase("two")) == unlock(place, FILE) == master
    with pytest.raises(WrongSecretError):
        unlock(place, Passphrase("one"))
    with pytest.raises(WrongSecretError):
        add_slot(place, OTHER, OTHER)
    with pytest.raises(RequestError, match="cannot take itself away"):  # so that one is always left
        remove_slot(place, FILE, added.number)
    with pytest.raises(WrongSecretError):
        remove_slot(place, OTHER, added.number)
    with pytest.raises(RequestError, match="no slot 99"):
        remove_slot(place, FILE, 99)
    remove_slot(place, FILE, changed.number)
    assert [slot.label for slot in list_slots(place)] == ["build server"]
    with pytest.raises(RequestError, match="cannot take itself away"):
        remove_slot(place, FILE, added.number)
    assert unlock(place, FILE) == master


def test_slots_that_are_added_at_once_are_all_there() -> None:
    place = MemoryBackend()
    create_slots(place, FILE)
    keys = [KeyFile(bytes([number]) * 32) for number in range(12)]
    threads = [threading.Thread(target=add_slot, args=(place, FILE, key)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({slot.number for slot in list_slots(place)}) == 13
    assert len({unlock(place, key) for key in keys}) == 1


def test_a_lost_answer_is_looked_up() -> None:
    class Uncertain(MemoryBackend):
        def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
            super().swap_cell(name, expected, value)
            raise SwapUncertainError("the answer was lost")

    place = Uncertain()
    master = create_slots(place, FILE)
    add_slot(place, FILE, OTHER)
    assert unlock(place, OTHER) == master
    assert len(list_slots(place)) == 2


def test_places_that_are_in_use() -> None:
    place = MemoryBackend()
    with pytest.raises(NotEncryptedError):
        open_encrypted(place, FILE)
    create_slots(place, FILE)
    with pytest.raises(PlaceInUseError, match="encrypted already"):
        create_slots(place, OTHER)
    plain = MemoryBackend()
    plain.swap_cell("format", None, b"x")
    with pytest.raises(PlaceInUseError, match="not encrypted"):
        create_slots(plain, FILE)
    assert not is_encrypted(plain)


def test_damaged_slots() -> None:
    place = MemoryBackend()
    create_slots(place, Passphrase("one"))
    value = place.read_cell(CELL)
    assert value is not None
    begin = len(value) - len(codec.encode(codec.decode(value[18:])))
    (slot,) = codec.decode(value[begin:])  # type: ignore[misc]

    def holding(*slots: object) -> MemoryBackend:
        made = MemoryBackend()
        made.swap_cell(CELL, None, value[:begin] + codec.encode(slots))
        return made

    for odd in (
        holding(),
        holding(1),
        holding({**slot, "number": "1"}),
        holding({**slot, "number": 0}),
        holding({**slot, "salt": None}),
        holding({**slot, "locked": b"short"}),
        holding({**slot, "cost": 30}),
        holding({**slot, "cost": 24, "block": 64}),
        holding({**slot, "cost": 1}),
        holding({**slot, "lanes": 1000}),
        holding(*[slot] * 65),
    ):
        with pytest.raises(DamagedSlotsError):
            unlock(odd, Passphrase("one"))
    for at in range(len(value)):
        damaged = MemoryBackend()
        damaged.swap_cell(CELL, None, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])
        try:
            unlock(damaged, Passphrase("one"))
        except (DamagedSlotsError, WrongSecretError):
            continue
        assert list_slots(damaged)[0].label == "", f"byte {at} may only be of no consequence"
    assert unlock(place, Passphrase("one"))
