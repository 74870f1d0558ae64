"""The bytes of docs/formats/encryption.md: opened by this version, and written again from the same salts."""

from __future__ import annotations

import os

import pytest

from dsvc.remotes.encryption import keyslots
from dsvc.remotes.encryption.backend import EncryptedBackend
from dsvc.remotes.encryption.keyslots import (
    CELL,
    KeyFile,
    Passphrase,
    Secret,
    add_slot,
    create_slots,
    list_slots,
    unlock,
)
from dsvc.remotes.encryption.sealing import Keys
from dsvc.storage.memory import MemoryBackend
from tests.formats.test_golden import GOLDEN

MASTER = bytes(range(32))
BLOB, CELL_HEAD = "packs/kdcufnjbwljsz5j72dcc3tar3utouii3", "rkmtn3j2how7lg5v3vu2ocfvo2nyxaeh"
SECRETS: tuple[Secret, ...] = (Passphrase("correct horse"), KeyFile(b"\x33" * 32))


def test_read() -> None:
    place = MemoryBackend()
    place.put(BLOB, bytes.fromhex(GOLDEN["sealed blob"]))
    place.swap_cell(CELL_HEAD, None, bytes.fromhex(GOLDEN["sealed cell"]))
    place.swap_cell(CELL, None, bytes.fromhex(GOLDEN["slots"]))
    for secret in SECRETS:
        backend = EncryptedBackend(place, Keys.of(unlock(place, secret)))
        assert list(backend.list("")) == [("packs/a1b2", 6)]
        assert backend.get("packs/a1b2") == b"hello\n"
        assert backend.read_cell("head") == b"value"
    assert [(slot.number, slot.kind, slot.label) for slot in list_slots(place)] == [
        (1, "scrypt", "ada"),
        (2, "key-file", "build"),
    ]


def test_write(monkeypatch: pytest.MonkeyPatch) -> None:
    place = MemoryBackend()
    backend = EncryptedBackend(place, Keys.of(MASTER))
    monkeypatch.setattr(os, "urandom", lambda count: b"\x11" * count)
    backend.put("packs/a1b2", b"hello\n")
    backend.swap_cell("head", None, b"value")
    assert place.get(BLOB).hex() == GOLDEN["sealed blob"]
    assert (place.read_cell(CELL_HEAD) or b"").hex() == GOLDEN["sealed cell"]
    drawn = iter([MASTER, b"\x22" * 32, b"\x22" * 32])
    monkeypatch.setattr(os, "urandom", lambda _: next(drawn))
    monkeypatch.setattr(keyslots, "_COST", 10)
    place = MemoryBackend()
    create_slots(place, SECRETS[0], label="ada")
    add_slot(place, SECRETS[0], SECRETS[1], label="build")
    assert (place.read_cell(CELL) or b"").hex() == GOLDEN["slots"]
