"""Accounts of a hub: keys, and roles by repository. docs/formats/hub.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from dsvc.errors import IntegrityError, RequestError
from dsvc.hub.keys import PublicKey, parse_key

Role = Literal["reader", "writer", "owner"]
ROLES: tuple[Role, ...] = get_args(Role)
EVERYTHING = "**"
VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_GLOB = re.compile(r"[A-Za-z0-9._*?\[\]!/-]{1,200}", re.ASCII)


class UnknownAccountError(RequestError):
    """There is no account of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"this hub has no account {name!r}", hint="dsvc hub user list DIR")


class DamagedAccountsError(IntegrityError):
    """The file of accounts cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the accounts of this hub cannot be read: {reason}", hint="restore the file 'accounts'")


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for the repositories whose names a pattern matches."""

    role: Role
    repos: str = EVERYTHING


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may come in with one of these keys."""

    name: str
    keys: tuple[PublicKey, ...]
    grants: tuple[Grant, ...]

    def role(self, repository: str) -> Role | None:
        """Return the highest role that a grant gives for a repository, None where there is none."""
        found = {grant.role for grant in self.grants if matches(repository, grant.repos)}
        return next((role for role in reversed(ROLES) if role in found), None)

    def key(self, fingerprint: str) -> PublicKey | None:
        """Return the key with that fingerprint."""
        return next((key for key in self.keys if key.fingerprint == fingerprint), None)


def matches(name: str, pattern: str) -> bool:
    """Say whether a pattern matches a whole name; `*` stands for any characters, also for a slash."""
    return fnmatchcase(name, pattern)


def check_account_name(name: str) -> str:
    """Return a name that an account may have.

    Raises:
        RequestError: otherwise.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"{name!r} is no name for an account", hint="letters, digits, '.', '_' and '-', at most 64 of them"
        )
    return name


def check_glob(pattern: str) -> str:
    """Return a pattern of names of repositories.

    Raises:
        RequestError: when none can match it.
    """
    if not _GLOB.fullmatch(pattern) or pattern.startswith("/"):
        raise RequestError(f"{pattern!r} is no pattern of repositories", hint="such as team/* or vision")
    return pattern


def find_account(accounts: Mapping[str, Account], name: str) -> Account:
    """Return an account.

    Raises:
        UnknownAccountError: when there is none of that name.
    """
    found = accounts.get(name)
    if found is None:
        raise UnknownAccountError(name)
    return found


def encode_accounts(accounts: Iterable[Account]) -> bytes:
    """Return the text of the file."""
    rows = [
        {
            "name": account.name,
            "grants": [{"role": grant.role, "repos": grant.repos} for grant in account.grants],
            "keys": [key.line for key in account.keys],
        }
        for account in sorted(accounts, key=lambda account: account.name)
    ]
    return json.dumps({"dsvc hub accounts": VERSION, "accounts": rows}, indent=2).encode() + b"\n"


def decode_accounts(text: bytes) -> dict[str, Account]:
    """Return the accounts of a file by name.

    Raises:
        DamagedAccountsError: when it is not of its form; so that nobody comes in by a line that is half understood.
    """
    try:
        fields = json.loads(text)
        if fields["dsvc hub accounts"] != VERSION:
            raise DamagedAccountsError("it has a version that this dsvc does not know")
        accounts = [_account(row) for row in fields["accounts"]]
    except (ValueError, KeyError, TypeError, AttributeError, RequestError) as error:
        raise DamagedAccountsError(str(error)) from error
    return {account.name: account for account in accounts}


def _account(row: Any) -> Account:
    grants = tuple(Grant(_role(grant["role"]), check_glob(grant["repos"])) for grant in row["grants"])
    return Account(check_account_name(row["name"]), tuple(parse_key(line) for line in row["keys"]), grants)


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise ValueError(f"{text!r} is no role")
