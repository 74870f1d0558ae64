"""Who can open an encrypted place: its one key, locked once for each passphrase and key file.

The cell `encryption` of the place holds the slots, in the clear but for the locked keys. A passphrase is changed by a
new slot; nothing that is stored has to be encrypted again. docs/formats/encryption.md.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from blake3 import blake3

from dsvc.atomic import write_file
from dsvc.errors import IntegrityError, RemoteError, RequestError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.remotes.encryption.sealing import KEY_BYTES, SALT_BYTES, TAG, DoesNotOpenError, gcm, nonce, opened
from dsvc.storage.backend import Backend, SwapUncertainError

CELL: Final = "encryption"
_MAGIC: Final = b"dsvc encryption 1\n"
_FILE_CONTEXT: Final = "dsvc encryption key file v1"
_COST: Final = 17  # scrypt's N is 2 to that: 128 MiB and about 0.4 s
_BLOCK: Final = 8
_MEMORY: Final = 1 << 30  # bytes; a place that asks for more would only make us wait
_MAX_SLOTS: Final = 64


class NotEncryptedError(RemoteError):
    """A place that should be encrypted has no key."""


class WrongSecretError(RemoteError):
    """No slot of the place opens with the passphrase or key file that was given."""


class PlaceInUseError(RemoteError):
    """A place that should become an encrypted one is in use."""


class DamagedSlotsError(IntegrityError):
    """The cell that holds the locked keys is not of its form."""


class BadKeyFileError(RequestError):
    """A file is no key file of dsvc's."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase; how its accents are typed does not matter (NFC)."""

    text: str = field(repr=False)
    kind: Literal["scrypt", "key-file"] = field(default="scrypt", init=False)

    def unlocks(self, slot: Mapping[str, Value]) -> bytes:
        """Return the key that opens a slot of this kind; half a second and 128 MiB by the usual cost."""
        salt, cost, block, lanes = (slot.get(name) for name in ("salt", "cost", "block", "lanes"))
        if type(salt) is not bytes or type(cost) is not int or type(block) is not int or type(lanes) is not int:
            raise DamagedSlotsError("a slot of the encrypted place has no valid parameters for a passphrase")
        if not (10 <= cost <= 24 and 1 <= block <= 64 and 1 <= lanes <= 4 and 128 * (block << cost) <= _MEMORY):
            raise DamagedSlotsError("a slot of the encrypted place asks for more memory or time than is sensible")
        text = unicodedata.normalize("NFC", self.text).encode("utf-8", "surrogateescape")
        limit = _MEMORY + (64 << 20)  # what OpenSSL needs beside
        return hashlib.scrypt(text, salt=salt, n=1 << cost, r=block, p=lanes, maxmem=limit, dklen=KEY_BYTES)

    def parameters(self) -> dict[str, Value]:
        """Return what a new slot says of how its key is found; raises RequestError for an empty passphrase."""
        if not self.text:
            raise RequestError("the passphrase is empty")
        return {"cost": _COST, "block": _BLOCK, "lanes": 1}


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The 32 bytes of a key file."""

    key: bytes = field(repr=False)
    kind: Literal["scrypt", "key-file"] = field(default="key-file", init=False)

    def unlocks(self, slot: Mapping[str, Value]) -> bytes:
        """Return the key that opens a slot of this kind."""
        salt = slot.get("salt")
        if not isinstance(salt, bytes):
            raise DamagedSlotsError("a slot of the encrypted place has no salt")
        return blake3(self.key + salt, derive_key_context=_FILE_CONTEXT).digest(KEY_BYTES)

    def parameters(self) -> dict[str, Value]:
        """Return what a new slot says of how its key is found: nothing more."""
        return {}


Secret = Passphrase | KeyFile


class Slot(NamedTuple):
    """One way to open a place: its number, its kind, and what people call it."""

    number: int
    kind: str
    label: str


def make_key_file(path: Path) -> KeyFile:
    """Write a new key to a file that only its owner may read; one that is there is not touched.

    Raises:
        BadKeyFileError: when there is a file already.
    """
    if path.exists():
        raise BadKeyFileError(f"{path} is there already", hint="name another file, or use this one if it is a key")
    key = os.urandom(KEY_BYTES)
    write_file(path, key.hex().encode() + b"\n", mode=0o600)
    return KeyFile(key)


def read_key_file(path: Path) -> KeyFile:
    """Read a key file: 64 hex digits.

    Raises:
        BadKeyFileError: when it cannot be read or is something else.
    """
    try:
        text = path.read_bytes()[: 4 * KEY_BYTES].decode("ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise BadKeyFileError(f"the key file {path} cannot be read: {error.strerror}") from error
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadKeyFileError(f"{path} is no key file: it must hold {2 * KEY_BYTES} hex digits")
    return KeyFile(key)


def is_encrypted(backend: Backend) -> bool:
    """Say whether a place is an encrypted one."""
    return backend.read_cell(CELL) is not None


def create_slots(backend: Backend, secret: Secret, *, label: str = "") -> bytes:
    """Give an empty place a new key, locked by `secret`; return the key.

    Raises:
        PlaceInUseError: when there is a repository or a key already.
    """
    if any(backend.read_cell(name) is not None for name in ("format", "head")):
        raise PlaceInUseError(
            "there is a repository that is not encrypted", hint="name an empty place, and push to that"
        )
    master = os.urandom(KEY_BYTES)
    value = _encode((_locked(master, secret, number=1, label=label),))
    try:
        made = backend.swap_cell(CELL, None, value)
    except SwapUncertainError:
        made = backend.read_cell(CELL) == value
    if not made:
        raise PlaceInUseError("the place is encrypted already", hint="open it with its passphrase or key file")
    return master


def unlock(backend: Backend, secret: Secret) -> bytes:
    """Return a place's key.

    Raises:
        NotEncryptedError: when it has none. WrongSecretError: when `secret` opens no slot. DamagedSlotsError.
    """
    return _unlock(_read(backend)[1], secret)[0]


def list_slots(backend: Backend) -> list[Slot]:
    """Return the ways to open a place; raises NotEncryptedError and DamagedSlotsError."""
    return [_described(slot) for slot in _read(backend)[1]]


def add_slot(backend: Backend, secret: Secret, new: Secret, *, label: str = "") -> Slot:
    """Let `new` open a place too; raises as `unlock` does."""
    return _described(_change(backend, secret, new=new, label=label)[-1])


def change_secret(backend: Backend, secret: Secret, new: Secret) -> Slot:
    """Let `new` open a place in the stead of `secret`; raises as `unlock` does.

    Whoever noted the key itself, or the old cell and the old passphrase, can still read: for that, use a new place.
    """
    return _described(_change(backend, secret, new=new, drop=True)[-1])


def remove_slot(backend: Backend, secret: Secret, number: int) -> None:
    """Take a way to open a place away; `secret` must open another one, so that somebody still can.

    Raises:
        WrongSecretError: when it opens nothing. RequestError: when there is no such slot, or it is the one that opens.
    """
    _change(backend, secret, remove=number)


def _change(
    backend: Backend,
    secret: Secret,
    *,
    new: Secret | None = None,
    label: str = "",
    drop: bool = False,
    remove: int | None = None,
) -> tuple[dict[str, Value], ...]:
    """Change the slots by one swap, and again from the newest ones where somebody else was faster."""
    while True:
        value, slots = _read(backend)
        rest = [slot for slot in slots if slot["number"] != remove]
        if remove is not None and len(rest) == len(slots):
            raise RequestError(f"there is no slot {remove}")
        try:
            master, opens = _unlock(tuple(rest), secret)
        except WrongSecretError:
            if remove is None:
                raise
            _unlock(slots, secret)  # raises where it opens nothing at all
            raise RequestError(
                f"number {remove} is what opens the place now, and cannot take itself away",
                hint="open it with another passphrase or key file, and take this one away then",
            ) from None
        if drop:
            label = cast("str", opens.get("label", ""))
            rest.remove(opens)
        if new is not None:
            if len(rest) >= _MAX_SLOTS:
                raise RequestError(f"an encrypted place has at most {_MAX_SLOTS} slots")
            number = 1 + max(cast("int", slot["number"]) for slot in slots)
            rest.append(_locked(master, new, number=number, label=label))
        changed = _encode(tuple(rest))
        try:
            if backend.swap_cell(CELL, value, changed):
                return tuple(rest)
        except SwapUncertainError:
            if backend.read_cell(CELL) == changed:
                return tuple(rest)


def _locked(master: bytes, secret: Secret, *, number: int, label: str) -> dict[str, Value]:
    slot: dict[str, Value] = {"number": number, "kind": secret.kind, "label": label, "salt": os.urandom(SALT_BYTES)}
    slot |= secret.parameters()
    locked = gcm(secret.unlocks(slot)).encrypt(nonce(number, last=True), master, None)
    return {**slot, "locked": locked}


def _unlock(slots: tuple[dict[str, Value], ...], secret: Secret) -> tuple[bytes, dict[str, Value]]:
    for slot in slots:
        if slot["kind"] != secret.kind:
            continue
        cipher = gcm(secret.unlocks(slot))
        try:
            number, locked = cast("int", slot["number"]), cast("bytes", slot["locked"])
            return opened(cipher, locked, number=number, last=True), slot
        except DoesNotOpenError:
            continue
    what = "this passphrase" if secret.kind == "scrypt" else "this key file"
    raise WrongSecretError(f"the encrypted place does not open with {what}", hint="check it and try again")


def _described(slot: Mapping[str, Value]) -> Slot:
    return Slot(cast("int", slot["number"]), cast("str", slot["kind"]), cast("str", slot["label"]))


def _encode(slots: tuple[dict[str, Value], ...]) -> bytes:
    return _MAGIC + codec.encode(slots)


def _read(backend: Backend) -> tuple[bytes, tuple[dict[str, Value], ...]]:
    value = backend.read_cell(CELL)
    if value is None:
        raise NotEncryptedError("the place is not encrypted, or there is nothing yet", hint="check the address")
    if not value.startswith(_MAGIC):
        raise DamagedSlotsError(f"the cell '{CELL}' of the place is not of its form")
    try:
        slots = codec.decode(value[len(_MAGIC) :])
    except BadEncodingError as error:
        raise DamagedSlotsError(f"the cell '{CELL}' of the place is damaged: {error.message}") from error
    if not isinstance(slots, tuple) or not 1 <= len(slots) <= _MAX_SLOTS:
        raise DamagedSlotsError(f"the cell '{CELL}' of the place has no slots")
    return value, tuple(_checked(slot) for slot in slots)


def _checked(slot: Value) -> dict[str, Value]:
    wanted: dict[str, type] = {"number": int, "kind": str, "label": str, "salt": bytes, "locked": bytes}
    if not isinstance(slot, dict) or any(type(slot.get(name)) is not kind for name, kind in wanted.items()):
        raise DamagedSlotsError(f"a slot in the cell '{CELL}' of the place is not of its form")
    number, locked = cast("int", slot["number"]), cast("bytes", slot["locked"])
    if not 0 < number < 1 << 32 or len(locked) != KEY_BYTES + TAG:
        raise DamagedSlotsError(f"a slot in the cell '{CELL}' of the place is not of its form")
    return dict(slot)
