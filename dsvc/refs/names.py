"""Names of refs: which are allowed, which are shared, and how people shorten them."""

from __future__ import annotations

import re

from dsvc.errors import UsageError

HEADS, TAGS, REMOTES, WORKTREES, STASH = "heads/", "tags/", "remotes/", "worktrees/", "stash/"
RUNS, MODELS, DEPLOYMENTS = "runs/", "models/", "deployments/"  # of runs see dsvc.runs.names
REQUESTS = "requests/"  # merge requests of this repository: made by 'dsvc request', not by a push of names
CUT = "cut/commits"  # which commits were left out here on purpose
SEEN = "seen/"  # what a remote had under shared names that have no place under remotes/: seen/NAME/requests/...
STREAMS = "streams/"  # of snapshots, by guid: they lie on remotes, and are neither fetched nor moved
DATA = "data/"  # what was learned of content: dsvc.repo.ledgers
NAMED = (MODELS, DEPLOYMENTS)  # move, and travel by what was last seen of them
SHARED = (HEADS, TAGS, RUNS, *NAMED, REQUESTS)
LOCAL = (REMOTES, WORKTREES, STASH, "added/", "cut/", SEEN, DATA)
ONCE = ("purged/", RUNS)  # made once and never moved: repositories exchange them as a set

# The rules of git-check-ref-format, so that every branch can be exported.
_BAD = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|\.(/|$)|^[./-]|/$|^@$")
_MAX_BYTES = 1000
_RULES = "names are UTF-8 without blanks, '..' and any of ~^:?*[\\, and do not begin with - or . or end with . or .lock"


class BadRefNameError(UsageError):
    """A name that no branch or tag may have."""


def check_name(name: str) -> str:
    """Return `name`, a full ref name such as `heads/main`, when it is allowed.

    Raises:
        BadRefNameError: otherwise.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = _MAX_BYTES + 1
    if not name.startswith((*SHARED, *LOCAL, *ONCE, STREAMS)) or size > _MAX_BYTES or _BAD.search(name):
        raise BadRefNameError(f"{name!r} is not a valid ref name", hint=_RULES)
    return name


def check_short_name(name: str, prefix: str) -> str:
    """Return the full name of a branch or tag given by its short one.

    Raises:
        BadRefNameError: when it may not be named so.
    """
    what = {HEADS: "branch", TAGS: "tag"}.get(prefix, "ref")
    broken = any("\ud800" <= character <= "\udfff" for character in name)
    if not name or name == "HEAD" or broken or _BAD.search(name) or len(name) > _MAX_BYTES - 20:
        raise BadRefNameError(f"{name!r} is not a valid name for a {what}", hint=_RULES)
    return check_name(prefix + name)


def short_name(name: str) -> str:
    """Return what people call a ref: `main` for `heads/main`."""
    for prefix in (HEADS, TAGS, REMOTES):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def head_of(worktree: str) -> str:
    """Return the name of a worktree's HEAD."""
    return f"{WORKTREES}{worktree}/HEAD"


def fetch_head_of(worktree: str) -> str:
    """Return the name under which a worktree keeps what it last fetched by name."""
    return f"{WORKTREES}{worktree}/FETCH_HEAD"


def state_of(worktree: str) -> str:
    """Return the name under which a worktree keeps what it is in the middle of."""
    return f"{WORKTREES}{worktree}/state"


def bisect_of(worktree: str) -> str:
    """Return the name under which a worktree keeps its bisection."""
    return f"{WORKTREES}{worktree}/bisect"


def environment_of(worktree: str) -> str:
    """Return the name under which a worktree keeps the environment that was last locked in it."""
    return f"{WORKTREES}{worktree}/environment"


def added_of(worktree: str) -> str:
    """Return the name under which a worktree's index keeps its tree while that is not HEAD's."""
    return f"added/{worktree}"


def moving_of(worktree: str) -> tuple[str, str]:
    """Return the names that keep the trees from and to which a worktree's files are moved, or were the last time."""
    return f"{WORKTREES}{worktree}/moving/from", f"{WORKTREES}{worktree}/moving/to"


def saved_of(worktree: str) -> str:
    """Return the name under which the tree is kept from which the last operation of a worktree moved its files."""
    return f"{WORKTREES}{worktree}/saved"


def ran_of(worktree: str) -> str:
    """Return the name under which a worktree keeps the tree that its last run left, with files nobody committed."""
    return f"{WORKTREES}{worktree}/ran"


def running_of(worktree: str, key: str) -> str:
    """Return the name under which a worktree keeps the tree from which a run that is under way began."""
    return f"{WORKTREES}{worktree}/running/{key}"
