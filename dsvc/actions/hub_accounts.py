"""Make a hub, and say who may do what on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dsvc.errors import RequestError
from dsvc.hub.accounts import (
    EVERYTHING,
    Account,
    Grant,
    Role,
    check_account_name,
    check_glob,
    find_account,
)
from dsvc.hub.audit import Entry, audit
from dsvc.hub.authorized_keys import update_authorized_keys
from dsvc.hub.folder import init_hub, open_hub
from dsvc.hub.keys import parse_keys
from dsvc.hub.located import Located, located_repositories, opened
from dsvc.hub.names import repository_folder, repository_name
from dsvc.refs.names import HEADS
from dsvc.refs.view import Direct


@dataclass(frozen=True, slots=True)
class AuthorizedKeys:
    """Where sshd looks for keys, and the words that run dsvc on this machine."""

    path: Path
    program: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository of a hub: its name, branches, and bytes as stored; the last operation's time and zone."""

    name: str
    branches: int
    size: int
    time: int
    zone: int


def create_hub(path: Path) -> Path:
    """Make a hub in a new or empty folder; return the folder as other programs find it.

    Raises:
        RequestError: for a folder with other things in it.
    """
    return init_hub(path).root


def list_users(path: Path) -> list[Account]:
    """Return the accounts of a hub, by name."""
    return sorted(open_hub(path).accounts().values(), key=lambda account: account.name)


def add_user(
    path: Path, name: str, *, key_text: str, role: Role | None, repos: Sequence[str], door: AuthorizedKeys
) -> Account:
    """Make an account, or give one further keys and grants; its lines are in the authorized_keys file afterwards.

    `key_text` has one public key a line. Without `repos` the role holds for all repositories.

    Raises:
        BadKeyLineError: for a text that holds other things than keys. RequestError: when another account has the key,
        or when a new account gets no role.
    """
    keys = parse_keys(key_text)
    check_account_name(name)

    def change(accounts: dict[str, Account]) -> Account:
        for other in accounts.values():
            for key in keys:
                if other.name != name and other.key(key.fingerprint) is not None:
                    raise RequestError(
                        f"{other.name} has the key {key.fingerprint} already, and a key says who somebody is",
                        hint=f"dsvc hub user remove {path} {other.name}, or use another key",
                    )
        found = accounts.get(name)
        if found is None and role is None:
            raise RequestError(f"which role does {name} get?", hint="--role reader, --role writer or --role owner")
        account = found or Account(name, (), ())
        new = tuple(key for key in dict.fromkeys(keys) if account.key(key.fingerprint) is None)
        account = replace(account, keys=account.keys + new)
        return _granted(account, role, repos) if role is not None else account

    return _change(path, change, door)


def set_role(path: Path, name: str, role: Role | None, *, repos: Sequence[str], door: AuthorizedKeys) -> Account:
    """Give an account another role for these patterns (all repositories without any); None takes what it had away.

    Raises:
        UnknownAccountError: when there is none of that name.
    """
    return _change(path, lambda accounts: _granted(find_account(accounts, name), role, repos), door)


def remove_user(path: Path, name: str, *, fingerprint: str | None, door: AuthorizedKeys) -> Account:
    """Take an account away, or one of its keys; connections that are open can publish nothing more.

    Raises:
        UnknownAccountError: when there is none of that name. RequestError: when it has no such key.
    """

    def change(accounts: dict[str, Account]) -> Account:
        account = find_account(accounts, name)
        if fingerprint is None:
            return replace(account, keys=(), grants=())
        if account.key(fingerprint) is None:
            raise RequestError(f"{name} has no key {fingerprint}", hint=f"dsvc hub user list {path}")
        return replace(account, keys=tuple(key for key in account.keys if key.fingerprint != fingerprint))

    return _change(path, change, door, remove=fingerprint is None)


def hub_repositories(path: Path) -> list[HubRepository]:
    """Return what is on a hub, by name."""
    hub = open_hub(path)
    return [_repository(located) for located in located_repositories(hub.repos)]


def hub_log(path: Path, repository: str | None = None) -> Iterator[Entry]:
    """Yield who did or wanted what, newest first, in one repository or in all.

    Raises:
        RemoteError: for a name that no repository has. RequestError: for one that is not there.
    """
    hub = open_hub(path)
    if repository is not None:
        repository = repository_name(repository)
        if not repository_folder(hub.repos, repository).is_dir():
            raise RequestError(f"this hub has no repository {repository}", hint=f"dsvc hub repos {path}")
    return audit(hub, repository)


def _repository(located: Located) -> HubRepository:
    with opened(located) as repo:
        branches = sum(1 for _, ref in repo.view().items(HEADS) if isinstance(ref, Direct))
        operation = repo.operation()
        size = sum(ref.size for ref in repo.head.packs.packs)
        return HubRepository(located.name, branches, size, operation.time, operation.zone)


def _granted(account: Account, role: Role | None, repos: Sequence[str]) -> Account:
    patterns = [check_glob(pattern) for pattern in repos] or [EVERYTHING]
    kept = tuple(grant for grant in account.grants if grant.repos not in patterns)
    new = tuple(Grant(role, pattern) for pattern in patterns) if role is not None else ()
    return replace(account, grants=kept + new)


def _change(
    path: Path, change: Callable[[dict[str, Account]], Account], door: AuthorizedKeys, *, remove: bool = False
) -> Account:
    """Change one account and the lines of all. Who is taken away is taken from sshd's file before the hub's."""
    hub = open_hub(path)
    with hub.locked():
        accounts = hub.accounts()
        account = change(accounts)
        accounts[account.name] = account
        if remove:
            del accounts[account.name]
        update_authorized_keys(
            door.path,
            hub.root,
            sorted(accounts.values(), key=lambda other: other.name),
            program=door.program,
        )
        hub.write_accounts(accounts)
    return account
