"""Who is there: an account, the key it came with, and its role for one repository."""

from __future__ import annotations

from dataclasses import dataclass

from dsvc.hub.accounts import Account, DamagedAccountsError, Role, find_account
from dsvc.hub.folder import Hub
from dsvc.hub.rules import Rules, may
from dsvc.refs.transaction import Act
from dsvc.remotes.wire.errors import RemoteAbsentError, RemoteDeniedError
from dsvc.requests.terms import Ask, Terms


class HubRefusedError(RemoteDeniedError):
    """The hub does not do what it is asked for."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """`repository` is the name of what is visited, `key` the fingerprint of the key (empty: it was not said).

    `may_request` says whether the account may take part in merge requests.
    """

    account: str
    key: str
    repository: str
    role: Role
    may_request: bool = False

    @property
    def may_write(self) -> bool:
        """Whether the role allows pushes of branches and tags."""
        return self.role != "reader"

    @property
    def may_upload(self) -> bool:
        """Whether anything may come from there at all."""
        return self.may_write or self.may_request

    def act(self, verb: str, description: str, *, host: str, time: int, zone: int) -> Act:
        """Return what the hub records of something that it does for this account."""
        return Act(
            verb=verb,
            description=description,
            user=self.account,
            host=host,
            worktree="hub",
            time=time,
            zone=zone,
            metadata={"account": self.account, "key": self.key},
        )


def find_visitor(hub: Hub, *, account: str, key: str, repository: str) -> Visitor:
    """Return who visits a repository.

    Raises:
        HubRefusedError: when the account or the key was taken away since sshd let it in.
        RemoteAbsentError: for a repository that the account may not even know of. BadRulesError.
    """
    found = identify(hub, account=account, key=key)
    role = found.role(repository)
    if role is None:
        raise absent(repository, account)
    taking_part = may(hub.rules().requests, role=role, account=account)
    return Visitor(account, key, repository, role, taking_part)


def identify(hub: Hub, *, account: str, key: str) -> Account:
    """Return an account that comes with a key of its own.

    Raises:
        HubRefusedError: when it is gone, or the key is.
    """
    try:
        accounts = hub.accounts()
    except (DamagedAccountsError, OSError) as error:
        raise HubRefusedError("the hub cannot read its accounts", hint="ask who runs the hub") from error
    if account not in accounts:
        raise HubRefusedError(f"the hub has no account {account!r} any more", hint="ask who runs the hub")
    found = find_account(accounts, account)
    if key and found.key(key) is None:
        raise HubRefusedError(f"the account {account} has no key {key} any more", hint="ask who runs the hub")
    return found


def absent(repository: str, account: str) -> RemoteAbsentError:
    """Return the error for a repository that is not there or that an account may not see: nobody can tell which."""
    return RemoteAbsentError(
        f"there is no repository {repository} that {account} may read",
        hint="check the remote's address, or ask an owner of the hub",
    )


def terms_for(visitor: Visitor, rules: Rules) -> Terms:
    """Return what a visitor is told of the hub: who they are to it, and what it asks of merges here."""
    asks = tuple(
        Ask(rule.refs, rule.approvals, rules.signatures != "none")
        for rule in rules.protect
        if rule.approvals and rule.concerns(visitor.repository)
    )
    return Terms(visitor.account, visitor.role, visitor.may_request, asks)
