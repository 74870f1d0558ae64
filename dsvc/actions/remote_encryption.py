"""Encrypted remotes: `remote.NAME.encrypt` and `remote.NAME.keyFile`, and who can open such a remote.

The passphrase stands in DSVC_PASSPHRASE or is asked for. Neither it nor the remote's key is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dsvc.config.values import as_bool
from dsvc.errors import RemoteError, RequestError
from dsvc.remotes.encryption.backend import create_encrypted, open_encrypted
from dsvc.remotes.encryption.keyslots import NotEncryptedError, Passphrase, Secret, is_encrypted, read_key_file
from dsvc.remotes.opening import Place, PlaceMissingError
from dsvc.remotes.settings import RemoteSettings
from dsvc.workspace import Workspace

OPTION, KEY_FILE = "encrypt", "keyFile"
VARIABLE, NEW_VARIABLE = "DSVC_PASSPHRASE", "DSVC_NEW_PASSPHRASE"


class SealedPlaceError(RemoteError):
    """A remote is encrypted, and nothing says how to open it."""

    def __init__(self, settings: RemoteSettings) -> None:
        hint = "dsvc remote add --encrypt NAME ADDRESS, or dsvc clone --encrypt ADDRESS"
        if settings.name is not None:
            hint = f"dsvc config remote.{settings.name}.{OPTION} true, or dsvc clone --encrypt {settings.url}"
        super().__init__(f"the repository at {settings.url} is encrypted", hint=hint)


class PassphraseMissingError(RequestError):
    """A passphrase is needed and nobody is there to type it."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            "a passphrase is needed, and there is no terminal to ask for it on",
            hint=f"set {variable}, or use a key file: dsvc remote add --encrypt --key-file FILE",
        )


class PassphrasesDifferError(RequestError):
    """A new passphrase was typed in two ways."""


def is_sealed(settings: RemoteSettings) -> bool:
    """Say whether a remote is to be encrypted."""
    value = settings.options.get(OPTION)
    return (value is not None and as_bool(value) is True) or KEY_FILE in settings.options


def sealed_place(
    workspace: Workspace, place: Place, settings: RemoteSettings, *, staging: Callable[[], Path], create: bool
) -> Place:
    """Return a place as what is inside its encryption; with `create` an empty one becomes an encrypted one.

    Raises:
        NotEncryptedError: when there is a repository that is not. PlaceMissingError: when there is none.
        PlaceInUseError: when somebody else was faster. WrongSecretError, PassphraseMissingError, BadKeyFileError.
    """
    new = not is_encrypted(place.backend)
    if new and place.backend.read_cell("format") is not None:
        option = OPTION if OPTION in settings.options else KEY_FILE
        raise NotEncryptedError(
            f"the repository at {settings.url} is not encrypted",
            hint=f"dsvc config --unset remote.{settings.name}.{option}, or push to an empty place",
        )
    if new and not create:
        raise PlaceMissingError(
            f"there is no repository at {settings.url}",
            hint=f"check the address with 'dsvc remote -v'; a first push makes one: dsvc push {settings.typed}",
        )
    secret = remote_secret(workspace, settings, new=new)
    backend = create_encrypted(place.backend, secret) if new else open_encrypted(place.backend, secret)
    return place._replace(backend=backend, staging=staging, on_disk=False)


def remote_secret(workspace: Workspace, settings: RemoteSettings, *, new: bool = False) -> Secret:
    """Return what opens a remote: its key file, else the passphrase; a `new` one is asked for twice."""
    file = settings.options.get(KEY_FILE)
    if file is not None:
        return read_key_file(workspace.root / os.path.expanduser(str(file)))
    return passphrase(workspace, f"Passphrase of {settings.shown}", variable=VARIABLE, twice=new)


def passphrase(workspace: Workspace, question: str, *, variable: str, twice: bool) -> Passphrase:
    """Return a passphrase from the environment, else from the person at the terminal.

    Raises:
        PassphraseMissingError, PassphrasesDifferError.
    """
    given = workspace.surroundings.environment.get(variable)
    if given is not None:
        return Passphrase(given)
    ask = workspace.surroundings.ask_secret
    text = ask(question)
    if text is None:
        raise PassphraseMissingError(variable)
    if twice and ask("The same again") != text:
        raise PassphrasesDifferError("the two passphrases differ, so nothing was done", hint="try again")
    return Passphrase(text)
