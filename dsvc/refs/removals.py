"""What was removed stays removed: the ref `runs/KEY/removed` wins over every other ref of its key.

See docs/formats/run.md. The rule holds wherever refs are published, so that it is the same for a command here, for a
fetch, for a push and on a hub.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dsvc.refs.names import RUNS
from dsvc.refs.view import Ref, View

REMOVED: Final = "removed"
RUN_NAME: Final = re.compile(rf"({RUNS}([0-9a-f]{{32}}))(?:/({REMOVED}|[0-9a-f]{{32}}))?")
"""The names of refs of runs: that of the record, in it the key (16 bytes), and that of a note or `REMOVED`."""


def is_outranked(name: str, view: View) -> bool:
    """Say whether a ref is of a run that was removed in this view, and is not the one that says so."""
    found = RUN_NAME.fullmatch(name)
    removal = f"{found[1]}/{REMOVED}" if found is not None else name
    return name != removal and view.get(removal) is not None


def with_removals(view: View, changes: Mapping[str, Ref | None]) -> dict[str, Ref | None]:
    """Return the changes of a view with those that follow: of a run that is then removed, everything else goes."""
    settled = dict(changes)
    for record in dict.fromkeys(found[1] for found in map(RUN_NAME.fullmatch, changes) if found is not None):
        removal = f"{record}/{REMOVED}"
        if (changes[removal] if removal in changes else view.get(removal)) is None:
            continue
        settled |= {name: None for name, _ in view.items(record) if name != removal}
        for name in changes:
            if name != removal and (name == record or name.startswith(record + "/")):
                settled[name] = None
    return settled
