"""What is allowed on a hub beyond roles: the file `rules.toml`. docs/formats/hub.md."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from dsvc.errors import RemoteError
from dsvc.hub.accounts import EVERYTHING, Role, matches
from dsvc.refs.names import HEADS, TAGS
from dsvc.requests.advice import MOST_APPROVALS
from dsvc.requests.terms import fits

MOST_DAYS = 36_500
Signatures = Literal["none", "protected", "all"]

TEMPLATE = """\
# Rules of this hub. What is commented out shows the defaults.

# create = ["owner"]          # roles that may make a repository by a first push to it
# signatures = "none"         # which commits must be signed: "none", those pushed to "protected" refs, or "all"
#                             # who may sign stands in the file allowed_signers beside this one
# signed_purges = false       # whether notes on what was purged must be signed by one of them
# put_away = true             # what no branch or tag reaches any more is shown to no account; false: until 'dsvc gc'
# attic_days = 30             # how long it is kept where only the host can see it
# hook_seconds = 30           # how long a hook may run
# requests = ["writer", "owner"]   # who may open merge requests and comment on them; add "reader" to let readers

[limits]                      # 0 means none
# repository_bytes = 0        # of one repository, as stored
# push_bytes = 0              # of one push, as stored
# push_plain_bytes = 1_099_511_627_776   # of one push, unpacked
# push_objects = 20_000_000   # in one push
# push_refs = 10_000          # in one push

[[protect]]                   # a ref that several of these speak of has to fit all of them
refs = ["main"]               # branches; others with what they are, as tags/v*
repos = ["**"]
push = ["writer", "owner"]    # roles or accounts that may move them forward
rewind = ["owner"]            # roles or accounts that may delete them, or give them another history
# approvals = 0               # above 0 these refs move by 'dsvc request merge' alone, with so many approvals
# approvers = ["writer", "owner"]  # whose approvals count
"""


class BadRulesError(RemoteError):
    """The file of rules is not of its form; as long as that is so nothing is taken."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the rules of this hub cannot be read: {reason}", hint="whoever runs it has to mend them")


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that a push must not pass; 0 stands for no limit."""

    repository_bytes: int = 0
    push_bytes: int = 0
    push_plain_bytes: int = 1 << 40
    push_objects: int = 20_000_000
    push_refs: int = 10_000


@dataclass(frozen=True, slots=True)
class Protection:
    """Who may do what with some refs of some repositories."""

    refs: tuple[str, ...] = ("main",)
    repos: tuple[str, ...] = (EVERYTHING,)
    push: tuple[str, ...] = ("writer", "owner")
    rewind: tuple[str, ...] = ("owner",)
    approvals: int = 0
    approvers: tuple[str, ...] = ("writer", "owner")

    def concerns(self, repository: str) -> bool:
        """Say whether it speaks of refs of a repository."""
        return any(matches(repository, repo) for repo in self.repos)

    def covers(self, repository: str, ref: str) -> bool:
        """Say whether it speaks of a ref (full name)."""
        return self.concerns(repository) and fits(ref, self.refs)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a hub."""

    create: tuple[str, ...] = ("owner",)
    signatures: Signatures = "none"
    signed_purges: bool = False
    put_away: bool = True
    attic_days: int = 30
    hook_seconds: float = 30
    requests: tuple[str, ...] = ("writer", "owner")
    limits: Limits = field(default_factory=Limits)
    protect: tuple[Protection, ...] = (Protection(),)

    def approvals(self, repository: str, ref: str) -> int:
        """Return how many approvals a move of a ref takes."""
        return max((protection.approvals for protection in self.protections(repository, ref)), default=0)

    def signed(self, repository: str, ref: str) -> bool:
        """Say whether what comes to a ref has to be signed."""
        if not ref.startswith((HEADS, TAGS)):
            return False
        return self.signatures == "all" or (
            self.signatures == "protected" and bool(self.protections(repository, ref))
        )

    def protections(self, repository: str, ref: str) -> list[Protection]:
        """Return what speaks of a ref."""
        return [protection for protection in self.protect if protection.covers(repository, ref)]


def may(allowed: tuple[str, ...], *, role: Role, account: str) -> bool:
    """Say whether a list of roles and accounts names somebody; an account is written as `@NAME` or `NAME`."""
    return role in allowed or account in allowed or f"@{account}" in allowed


def decode_rules(text: bytes) -> Rules:
    """Return the rules of a file.

    Raises:
        BadRulesError: for what is unknown or of another type, so that no rule is left out by a slip of the pen.
    """
    try:
        given = tomllib.loads(text.decode())
    except ValueError as error:
        raise BadRulesError(str(error)) from error
    known = {f.name for f in fields(Rules)}
    _refuse_unknown(given, known, "")
    limits = given.get("limits", {})
    protect = given.get("protect", [])
    if not isinstance(limits, dict) or not isinstance(protect, list):
        raise BadRulesError("[limits] is one table, [[protect]] are several")
    _refuse_unknown(limits, {f.name for f in fields(Limits)}, "limits.")
    for name, value in limits.items():
        if type(value) is not int or value < 0:
            raise BadRulesError(f"limits.{name} is a number of bytes or things")
    signatures = given.get("signatures", "none")
    if signatures not in get_args(Signatures):
        raise BadRulesError('signatures is "none", "protected" or "all"')
    signed_purges = given.get("signed_purges", False)
    if not isinstance(signed_purges, bool):
        raise BadRulesError("signed_purges is true or false")
    put_away = given.get("put_away", True)
    if not isinstance(put_away, bool):
        raise BadRulesError("put_away is true or false")
    days = given.get("attic_days", 30)
    if type(days) is not int or not 0 <= days <= MOST_DAYS:
        raise BadRulesError(f"attic_days is a number up to {MOST_DAYS:,}")
    seconds = given.get("hook_seconds", 30)
    if type(seconds) not in (int, float) or not 0 < seconds <= 3600:
        raise BadRulesError("hook_seconds is a number up to 3600")
    return Rules(
        create=_words(given, "create", ("owner",)),
        signatures=signatures,
        signed_purges=signed_purges,
        put_away=put_away,
        attic_days=days,
        hook_seconds=float(seconds),
        requests=_words(given, "requests", ("writer", "owner")),
        limits=Limits(**limits),
        protect=tuple(_protection(row) for row in protect),
    )


def _protection(row: object) -> Protection:
    if not isinstance(row, dict):
        raise BadRulesError("[[protect]] is a table")
    names = [f.name for f in fields(Protection)]
    _refuse_unknown(row, set(names), "protect.")
    default = Protection()
    approvals = row.get("approvals", 0)
    if type(approvals) is not int or not 0 <= approvals <= MOST_APPROVALS:
        raise BadRulesError(f"protect.approvals is a number up to {MOST_APPROVALS}")
    lists = {name: _words(row, name, getattr(default, name)) for name in names if name != "approvals"}
    return Protection(**lists, approvals=approvals)


def _words(given: Mapping[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = given.get(name, list(default))
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise BadRulesError(f"{name} is a list of words")
    return tuple(value)


def _refuse_unknown(given: Mapping[str, Any], known: set[str], prefix: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadRulesError(f"{prefix}{unknown[0]} is unknown")
