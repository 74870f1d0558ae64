"""The `dsvc hub user` commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.actions.hub_accounts import AuthorizedKeys
    from dsvc.hub.accounts import Account

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The hub's folder.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
Repo = Annotated[
    Sequence[str], typer.Option("--repo", metavar="GLOB", help="Only for repositories with such names, as team/*.")
]
KeysPath = Annotated[
    Path | None,
    typer.Option("--authorized-keys", metavar="FILE", help="sshd's file of keys; ~/.ssh/authorized_keys otherwise."),
]
RoleOption = Annotated[Literal["reader", "writer", "owner"] | None, typer.Option("--role", help="What it may do.")]
RoleWord = Annotated[
    Literal["reader", "writer", "owner", "none"], typer.Argument(metavar="ROLE", help="reader, writer, owner or none.")
]


def add(
    context: Context,
    directory: Directory,
    name: Name,
    *,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The public key, a file that ends in .pub.")],
    role: RoleOption = None,
    repo: Repo = (),
    authorized_keys: KeysPath = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make an account, or give one another key.

    A reader fetches. A writer also pushes, but neither rewinds nor deletes protected branches. An owner may do that
    too, and makes repositories by a first push to them. The key can do nothing else on this machine.
    """
    from dsvc.actions.hub_accounts import add_user

    text = context.read_text(str(context.directory / key))
    account = add_user(
        context.directory / directory, name, key_text=text, role=role, repos=repo, door=_door(context, authorized_keys)
    )
    _show(context, account, "dsvc.hub.user.add", json=json)


def list_(context: Context, directory: Directory, *, quiet: Quiet = False, json: Json = False) -> None:
    """List the accounts of a hub, with their roles and keys."""
    from dsvc.actions.hub_accounts import list_users

    accounts = list_users(context.directory / directory)
    if json:
        context.out.json("dsvc.hub.user.list", {"users": [user_json(account) for account in accounts]})
        return
    context.out.table([(account.name, _grants(account), _keys(account)) for account in accounts])


def remove(
    context: Context,
    directory: Directory,
    name: Name,
    *,
    key: Annotated[
        str | None, typer.Option("--key", metavar="FINGERPRINT", help="Only this key, as 'user list' shows it.")
    ] = None,
    authorized_keys: KeysPath = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Take an account away, or one of its keys.

    What it pushed stays, and so does its name in the log.
    """
    from dsvc.actions.hub_accounts import remove_user

    door = _door(context, authorized_keys)
    account = remove_user(context.directory / directory, name, fingerprint=key, door=door)
    if json:
        context.out.json("dsvc.hub.user.remove", user_json(account))
    elif key is None:
        context.out.note(f"Removed {name}")
    else:
        context.out.note(f"Removed a key of {name}")


def role(
    context: Context,
    directory: Directory,
    name: Name,
    role: RoleWord,
    *,
    repo: Repo = (),
    authorized_keys: KeysPath = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Give an account another role.

    Of the roles that hold for a repository the highest counts. Without --repo it is the one for all of them; 'none'
    takes it away.
    """
    from dsvc.actions.hub_accounts import set_role

    new = None if role == "none" else role
    door = _door(context, authorized_keys)
    account = set_role(context.directory / directory, name, new, repos=repo, door=door)
    _show(context, account, "dsvc.hub.user.role", json=json)


def user_json(account: Account) -> dict[str, Any]:
    """An account as an object of a JSON document."""
    return {
        "name": account.name,
        "grants": [{"role": grant.role, "repos": grant.repos} for grant in account.grants],
        "keys": [{"type": k.type, "fingerprint": k.fingerprint, "comment": k.comment} for k in account.keys],
    }


def _door(context: Context, path: Path | None) -> AuthorizedKeys:
    from dsvc.actions.hub_accounts import AuthorizedKeys

    if path is None:
        home = context.environment.get("HOME")
        if not home:
            raise UsageError("there is no home folder here", hint="--authorized-keys FILE")
        path = Path(home) / ".ssh" / "authorized_keys"
    return AuthorizedKeys(context.directory / path, _program())


def _program() -> tuple[str, ...]:
    """The words that run this dsvc from a shell that knows no paths."""
    started = Path(sys.argv[0])
    if started.name == "dsvc" and started.is_file() and os.access(started, os.X_OK):
        return (os.path.abspath(started),)
    return (sys.executable, "-m", "dsvc")


def _show(context: Context, account: Account, schema: str, *, json: bool) -> None:
    if json:
        context.out.json(schema, user_json(account))
    else:
        context.out.note(f"{account.name}: {_grants(account) or 'no role'}; {_keys(account) or 'no key'}")


def _grants(account: Account) -> str:
    return ", ".join(g.role if g.repos == "**" else f"{g.role} of {g.repos}" for g in account.grants)


def _keys(account: Account) -> str:
    return ", ".join(f"{key.fingerprint} {key.comment}".rstrip() for key in account.keys)


SUBCOMMANDS = {"add": add, "list": list_, "remove": remove, "role": role}
