"""Keys of runs and the names of their refs.

A key is chosen when a run begins: 6 bytes of milliseconds since 1970, then 10 random bytes. So refs of runs stand in
the order in which the runs began, and a thousand new ones change few nodes of a view. People write its random part,
shortened. `runs/KEY` is the record, `runs/KEY/NOTE` a note to it (NOTE is a key too), `runs/KEY/removed` says that
the record was removed. All of them are made once and never moved: two repositories join them as a set, in which
`removed` wins over everything else of that key. See docs/formats/run.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NamedTuple, NewType

from dsvc.refs.names import RUNS
from dsvc.refs.removals import REMOVED, RUN_NAME

RunKey = NewType("RunKey", bytes)

KEY_LENGTH = 16
RERUN_OF: Final = "rerun-of"  # label of a repetition: the key of the run that it repeats
_TIME = 6  # bytes
_SHORT = 10  # digits


def new_key(time: int, random: Callable[[int], bytes] = os.urandom) -> RunKey:
    """Return a new key for what begins at `time`, microseconds since 1970 UTC."""
    milliseconds = min(max(time // 1000, 0), (1 << 8 * _TIME) - 1)
    return RunKey(milliseconds.to_bytes(_TIME, "big") + random(KEY_LENGTH - _TIME))


def short_key(key: RunKey) -> str:
    """Return what people call a run: the first digits of the random part of its key."""
    return key.hex()[2 * _TIME : 2 * _TIME + _SHORT]


def matches(key: RunKey, text: str) -> bool:
    """Say whether `text`, lower-case digits, is the begin of a key or of its random part."""
    digits = key.hex()
    return digits.startswith(text) or digits[2 * _TIME :].startswith(text)


def run_ref(key: RunKey) -> str:
    """Return the name of the ref that keeps a run's record."""
    return RUNS + key.hex()


def note_ref(key: RunKey, note: RunKey) -> str:
    """Return the name of the ref that keeps a note to a run."""
    return f"{run_ref(key)}/{note.hex()}"


def removal_ref(key: RunKey) -> str:
    """Return the name of the ref that says of a run that it was removed."""
    return f"{run_ref(key)}/{REMOVED}"


class RunRef(NamedTuple):
    """What the name of a ref says: which run, which note to it (None: the record), and whether it is the removal."""

    key: RunKey
    note: RunKey | None = None
    is_removal: bool = False


def parse_ref(name: str) -> RunRef | None:
    """Return what a full ref name says of runs, or None where it is not of their form."""
    found = RUN_NAME.fullmatch(name)
    if found is None:
        return None
    key, note = RunKey(bytes.fromhex(found[2])), found[3]
    if note is None:
        return RunRef(key)
    return RunRef(key, is_removal=True) if note == REMOVED else RunRef(key, RunKey(bytes.fromhex(note)))
