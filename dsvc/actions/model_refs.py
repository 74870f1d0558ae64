"""Which refs of models and deployments go along with a push and a fetch.

They move, as a stage does that goes on to the next version, so each side may move only what the other one has not moved
since it was last seen: refs below `seen/REMOTE/` say what that was.
"""

from __future__ import annotations

from collections.abc import Iterable

from dsvc.actions.ref_update import Outcome, RefUpdate
from dsvc.refs.names import NAMED, SEEN
from dsvc.refs.view import Direct, Ref, View


def seen_name(remote: str, name: str) -> str:
    """Return the name under which it is kept what a remote had under `name`."""
    return f"{SEEN}{remote}/{name}"


def models_to_push(ours: View, theirs: View, remote: str) -> list[RefUpdate]:
    """Return what a push does with the models and deployments that were changed here since the remote was last seen."""
    found = []
    for name in _names(ours, theirs, remote):
        here, there, seen = (_direct(view, key) for view, key in _three(ours, theirs, name, remote))
        if here == there:
            found.append(RefUpdate(name, name if here else None, there, here, "same"))
        elif here == seen:
            continue  # they moved it, which the next fetch brings
        elif there != seen:
            found.append(_refused(name, there, here, "it was changed there too", remote))
        else:
            outcome: Outcome = "deleted" if here is None else "new" if there is None else "moved"
            found.append(RefUpdate(name, name if here else None, there, here, outcome))
    return found


def models_to_fetch(ours: View, theirs: View, remote: str) -> list[RefUpdate]:
    """Return what a fetch does with the models and deployments that the remote changed since it was last seen."""
    found = []
    for name in _names(ours, theirs, remote):
        here, there, seen = (_direct(view, key) for view, key in _three(ours, theirs, name, remote))
        if here == there:
            found.append(RefUpdate(name, name, here, there, "same"))
        elif there == seen:
            continue  # we changed it, which the next push sends
        elif here != seen:
            found.append(_refused(name, here, there, "it was changed here too", remote))
        else:
            outcome: Outcome = "deleted" if there is None else "new" if here is None else "moved"
            found.append(RefUpdate(name, name, here, there, outcome))
    return found


def seen_changes(updates: Iterable[RefUpdate], remote: str) -> dict[str, Ref | None]:
    """Return what has to be kept of the remote's models behind a push or fetch that made these updates."""
    return {
        seen_name(remote, update.theirs): update.new
        for update in updates
        if update.theirs.startswith(NAMED) and update.outcome != "rejected"
    }


def _refused(name: str, old: Direct | None, new: Direct | None, reason: str, remote: str) -> RefUpdate:
    theirs, yours = f"dsvc fetch {remote} +{name}:{name}", f"dsvc push {remote} +{name}"
    return RefUpdate(name, name, old, new, "rejected", reason, f"{theirs} takes what is there, {yours} replaces it")


def _names(ours: View, theirs: View, remote: str) -> list[str]:
    prefix = f"{SEEN}{remote}/"
    names = {name for view in (ours, theirs) for named in NAMED for name, _ in view.items(named)}
    names |= {name.removeprefix(prefix) for named in NAMED for name, _ in ours.items(prefix + named)}
    return sorted(names)


def _three(ours: View, theirs: View, name: str, remote: str) -> tuple[tuple[View, str], ...]:
    return (ours, name), (theirs, name), (ours, seen_name(remote, name))


def _direct(view: View, name: str) -> Direct | None:
    ref = view.get(name)
    return ref if isinstance(ref, Direct) else None
