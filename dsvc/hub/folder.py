"""The folder of a hub. docs/formats/hub.md."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsvc.atomic import write_file
from dsvc.errors import FormatTooNewError, IntegrityError, NotARepositoryError, RequestError
from dsvc.hub.accounts import Account, decode_accounts, encode_accounts
from dsvc.hub.rules import TEMPLATE, Rules, decode_rules

VERSION = 1


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub in a folder; see `open_hub` and `init_hub`."""

    root: Path

    @property
    def repos(self) -> Path:
        """The folder of repositories."""
        return self.root / "repos"

    @property
    def hooks(self) -> Path:
        """The folder of hooks."""
        return self.root / "hooks"

    @property
    def refusals(self) -> Path:
        """The file that says what was refused."""
        return self.root / "refused"

    def quarantine(self, repository: str, account: str) -> Path:
        """Where packs of an account wait that are not published yet."""
        return self.root / "quarantine" / repository.replace("/", "+") / account

    def attic(self, repository: str) -> Path:
        """Where that lies which the refs of a repository reached once, and what was done before the log was cut."""
        return self.root / "attic" / repository

    def accounts(self) -> dict[str, Account]:
        """Return the accounts by name.

        Raises:
            DamagedAccountsError: when the file is not of its form.
        """
        return decode_accounts((self.root / "accounts").read_bytes())

    def rules(self) -> Rules:
        """Return what is allowed on this hub.

        Raises:
            BadRulesError: when the file is not of its form.
        """
        try:
            return decode_rules((self.root / "rules.toml").read_bytes())
        except FileNotFoundError:
            return Rules()

    def write_accounts(self, accounts: dict[str, Account]) -> None:
        """Replace the file of accounts, durably and at once; the caller holds the lock."""
        write_file(self.root / "accounts", encode_accounts(accounts.values()), mode=0o600)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from changing accounts while the block runs."""
        fd = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def init_hub(path: Path) -> Hub:
    """Make a hub in a folder that is new or empty.

    Raises:
        RequestError: for a folder with other things in it.
    """
    root = Path(os.path.realpath(path))
    if (root / "format").is_file():
        raise RequestError(f"{path} is a hub already", hint=f"dsvc hub user list {path}")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise RequestError(f"{path} holds other things", hint="name a new or an empty folder")
    root.mkdir(parents=True, exist_ok=True)
    hub = Hub(root)
    for folder in (hub.repos, hub.hooks, root / "quarantine"):
        folder.mkdir(mode=0o700)
    hub.write_accounts({})
    write_file(root / "rules.toml", TEMPLATE.encode())
    write_file(root / "format", json.dumps({"dsvc hub": VERSION}).encode() + b"\n")
    return hub


def open_hub(path: Path) -> Hub:
    """Return the hub in a folder.

    Raises:
        NotARepositoryError: where there is none. FormatTooNewError: for one of a later version.
    """
    root = Path(os.path.realpath(path))
    try:
        version = json.loads((root / "format").read_bytes())["dsvc hub"]
    except OSError as error:
        raise NotARepositoryError(f"{path} is no hub", hint=f"dsvc hub init {path}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"the format record of the hub {path} is damaged") from error
    if version != VERSION:
        raise FormatTooNewError(f"the hub {path} has format {version!r}", hint="install a newer dsvc")
    return Hub(root)
