"""Snapshots straight from one pool into another: `zfs send` into `zfs receive -s`, resumed where it broke off.

One of the two is of this machine, the other one is reached by a command such as ssh; which of them does not matter.
zfs-send(8) and zfs-receive(8) say what a resume token is; zfs-fuse has none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from dsvc.errors import DsvcError
from dsvc.storage.snapshots import Kept, Read
from dsvc.zfs.errors import BrokenStreamError
from dsvc.zfs.provider import ZfsProvider

_PIECE = 1 << 18  # bytes
_GUID = re.compile(r"^\s*toguid = (0x[0-9a-f]+)$", re.MULTILINE)
_PATIENCE = 20.0  # seconds, until a receive whose connection broke has ended at the other end
_PAUSE = 0.2
_NONE = "-"


def transfer(
    source: ZfsProvider,
    target: ZfsProvider,
    kept: Kept,
    base: tuple[Kept, Kept] | None,
    name: str,
    *,
    mark: str,
    advance: Callable[[int], None],
) -> Kept:
    """Send a snapshot of one pool into another one, from `base`, which both have; return it as it is there.

    `base` is named as the source knows it, and as the target does. `name` is that of a new dataset, noted as made under
    `mark`, and must be the same in each call for the same snapshot. When it breaks off, what arrived is kept, in no
    snapshot and no mounted dataset, and the next call goes on from there.

    Raises:
        BrokenStreamError: when what arrived is another snapshot. What the programs raise.
    """
    before, there = base if base is not None else (None, None)
    if not target.is_openzfs():
        with source.send(kept.name, before.name if before is not None else None) as read:
            return target.receive(name, _counted(read, advance), kept.guid, there, mark)
    clone = before is not None and before.dataset != kept.dataset
    dataset, options = name, tuple[str, ...]()
    if there is not None and not clone:
        if target.goes_on(there, mark):
            dataset = there.dataset
        else:
            options = ("-o", f"origin={there.name}")
    for place in dict.fromkeys((dataset, name)):
        token = _token(target, place)
        if token is not None and _leads_to(source, token) == kept.guid:
            _send(source, target, ("-t", token), ("-s", "-u", place), advance)
            return _arrived(target, place, kept.guid, mark, new=place == name)
        if token is not None:
            target.program.call("receive", "-A", place)  # it is of a snapshot that is wanted no more
    between = ("-i", before.name) if before is not None else ()
    words = (*source.send_options(kept.name), *between, kept.name)
    _send(source, target, words, ("-s", "-u", *options, dataset), advance)
    return _arrived(target, dataset, kept.guid, mark, new=dataset == name)


def _token(target: ZfsProvider, dataset: str) -> str | None:
    """Return the token of a stream that broke off; one whose receiver did not notice yet is waited for."""
    if target.dataset(dataset) is None:
        return None
    token = target.program.call("get", "-Hp", "-o", "value", "receive_resume_token", dataset).strip()
    return None if token in (_NONE, "") else token


def _leads_to(source: ZfsProvider, token: str) -> str | None:
    """Return the guid of the snapshot that a resumed stream makes; None when the source has it no more."""
    try:
        found = _GUID.search(source.program.call("send", "-nvt", token))
    except DsvcError:
        return None
    return str(int(found[1], 16)) if found is not None else None


def _send(
    source: ZfsProvider,
    target: ZfsProvider,
    sending: tuple[str, ...],
    receiving: tuple[str, ...],
    advance: Callable[[int], None],
) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with source.program.reading("send", *sending) as read:
                target.program.write(_counted(read, advance), "receive", *receiving)
            return
        except BrokenStreamError as error:
            if "busy" not in error.message or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def _counted(read: Read, advance: Callable[[int], None]) -> Iterator[bytes]:
    while piece := read(_PIECE):
        advance(len(piece))
        yield piece


def _arrived(target: ZfsProvider, dataset: str, guid: str, mark: str, *, new: bool) -> Kept:
    if new:
        target.note_made(dataset, mark)
    for kept in target.snapshots(dataset):
        if kept.guid == guid:
            return kept
    raise BrokenStreamError(
        f"what was sent into {dataset} is not the snapshot {guid}", hint=f"zfs list -r -t all {dataset}"
    )
