"""See and change who can open an encrypted remote."""

from __future__ import annotations

from pathlib import Path

from dsvc.actions.remote_access import open_bare_place
from dsvc.actions.remote_encryption import NEW_VARIABLE, passphrase, remote_secret
from dsvc.remotes.encryption.keyslots import (
    KeyFile,
    Slot,
    add_slot,
    change_secret,
    list_slots,
    make_key_file,
    read_key_file,
    remove_slot,
)
from dsvc.remotes.settings import RemoteSettings
from dsvc.workspace import Workspace


def remote_keys(workspace: Workspace, settings: RemoteSettings) -> list[Slot]:
    """Return the ways to open an encrypted remote; no passphrase is needed for that.

    Raises:
        NotEncryptedError, DamagedSlotsError, RemoteError.
    """
    with open_bare_place(workspace, settings) as place:
        return list_slots(place)


def add_passphrase(workspace: Workspace, settings: RemoteSettings, *, label: str = "") -> Slot:
    """Let a new passphrase open a remote too: DSVC_NEW_PASSPHRASE, or asked for twice.

    Raises:
        WrongSecretError: when the present secret opens nothing. PassphraseMissingError, PassphrasesDifferError.
    """
    with open_bare_place(workspace, settings) as place:
        secret = remote_secret(workspace, settings)
        new = passphrase(workspace, "New passphrase", variable=NEW_VARIABLE, twice=True)
        return add_slot(place, secret, new, label=label)


def change_passphrase(workspace: Workspace, settings: RemoteSettings) -> Slot:
    """Put a new passphrase in the stead of the present secret; raises as `add_passphrase` does."""
    with open_bare_place(workspace, settings) as place:
        secret = remote_secret(workspace, settings)
        new = passphrase(workspace, "New passphrase", variable=NEW_VARIABLE, twice=True)
        return change_secret(place, secret, new)


def add_key_file(workspace: Workspace, settings: RemoteSettings, path: Path, *, label: str = "") -> tuple[Slot, bool]:
    """Let a key file open a remote too, and write it if it is not there; return the slot, and whether it was written.

    Raises:
        WrongSecretError, BadKeyFileError.
    """
    with open_bare_place(workspace, settings) as place:
        secret = remote_secret(workspace, settings)
        key, made = key_file(path)
        return add_slot(place, secret, key, label=label or path.name), made


def remove_key(workspace: Workspace, settings: RemoteSettings, number: int) -> None:
    """Take a way to open a remote away; not the one by which it is opened now.

    Raises:
        WrongSecretError, RequestError.
    """
    with open_bare_place(workspace, settings) as place:
        remove_slot(place, remote_secret(workspace, settings), number)


def key_file(path: Path) -> tuple[KeyFile, bool]:
    """Return the key in a file, and whether the file was made for that; raises BadKeyFileError."""
    return (read_key_file(path), False) if path.exists() else (make_key_file(path), True)
