"""Deliver what a push brought to a hub: what its `post-receive` hook calls."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from dsvc.delivery.steps import Event
from dsvc.errors import RequestError, UsageError
from dsvc.models.names import parse_ref
from dsvc.refs.names import HEADS, MODELS, TAGS

_NONE: Final = "0" * 64
LOGS: Final = "delivery"  # the folder of logs in a hub's folder


class Pushed(NamedTuple):
    """A ref that a push moved; ids are in hexadecimal, None for nothing."""

    old: str | None
    new: str | None
    ref: str


class Delivered(NamedTuple):
    """An event, the exit code of its delivery, and what became of each step, or why there were none."""

    event: Event
    exit_code: int
    steps: tuple[tuple[str, str], ...]
    error: str = ""


class HookResult(NamedTuple):
    """What was delivered; nothing yet where it goes on behind the push."""

    events: tuple[Delivered, ...]
    log: Path | None = None


def read_pushed(lines: Iterable[str]) -> list[Pushed]:
    """Return what the lines `OLD NEW REF` say that hooks get.

    Raises:
        UsageError: for a line that is none.
    """
    found: list[Pushed] = []
    for line in lines:
        parts = line.split(None, 2)
        if not parts:
            continue
        if len(parts) != 3 or any(len(part) != len(_NONE) for part in parts[:2]):
            raise UsageError(
                f"{line.strip()[:80]!r} is no line 'OLD NEW REF'", hint="a hub calls this from hooks/post-receive"
            )
        old, new, ref = parts
        found.append(Pushed(None if old == _NONE else old, None if new == _NONE else new, ref.strip()))
    return found


def begin_behind(pushed: Sequence[Pushed], words: Sequence[str], *, folder: Path, log: Path) -> HookResult:
    """Start `dsvc ci hook` once more, which waits, in a session of its own, so that the push need not wait for it."""
    if not any(one.new is not None and _may_deliver(one.ref) for one in pushed):
        return HookResult(())
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{one.old or _NONE} {one.new or _NONE} {one.ref}\n" for one in pushed)
    with open(log, "ab") as file, tempfile.TemporaryFile() as said:
        said.write(lines.encode())
        said.seek(0)
        subprocess.Popen(
            [sys.executable, "-m", "dsvc", "ci", "hook", "--wait", *words],
            cwd=folder,
            stdin=said,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    return HookResult((), log)


def deliver_pushed(
    pushed: Sequence[Pushed], *, folder: Path, environment: Mapping[str, str], branches: Sequence[str] = ()
) -> HookResult:
    """Clone the repository in `folder`, metadata first, and run the steps of each event in the clone.

    Branches count that match one of the patterns, without any the default one. A tag counts if the default branch
    contains its commit; when a model is promoted, the steps are those of the default branch. So what runs here was
    let onto a branch of which the hub's rules say who may push to it. The runs of the steps are brought back.

    Raises:
        RequestError: when it cannot be cloned.
    """
    done: list[Delivered] = []
    with tempfile.TemporaryDirectory(prefix="dsvc-delivery-") as place:
        # The folder's name is that of the project: messages of the steps say it.
        clone = Path(place) / Path(environment.get("DSVC_REPO") or folder.absolute()).name
        made = _dsvc(["clone", "-q", "--no-data", os.fspath(folder), os.fspath(clone)], folder, environment)
        if made.returncode:
            raise RequestError(f"{folder} cannot be cloned", hint=made.stderr.decode(errors="replace").strip()[-300:])
        if not (clone / ".dsvc").is_dir():
            return HookResult(())
        default = _said(["rev-parse", "--abbrev-ref", "HEAD"], clone, environment)
        tip = _said(["rev-parse", "HEAD"], clone, environment)
        for event, commit in _events(pushed, clone, environment, tuple(branches) or (default,)):
            at = commit or tip
            if not at or _dsvc(["switch", "-q", "--detach", at], clone, environment).returncode:
                continue
            # What steps print is in their runs, where secrets are masked, and nowhere else.
            ran = _dsvc(["ci", "run", event.kind, "--ref", event.ref, "--json"], clone, environment)
            done.append(_delivered(event, ran))
        if done:
            _dsvc(["push", "-q", "origin", "runs/*:runs/*"], clone, environment)
    return HookResult(tuple(done))


def _delivered(event: Event, ran: subprocess.CompletedProcess[bytes]) -> Delivered:
    try:
        steps = json.loads(ran.stdout)["steps"]
    except (ValueError, KeyError):
        return Delivered(event, ran.returncode, (), _error(ran))
    return Delivered(event, ran.returncode, tuple((step["name"], step["result"]) for step in steps))


def _error(ran: subprocess.CompletedProcess[bytes]) -> str:
    """Return why no step ran; nothing where there was none to run."""
    said = ran.stderr.decode(errors="replace").strip().splitlines()
    for line in reversed(said):
        try:
            found = json.loads(line)["message"]
        except (ValueError, KeyError, TypeError):
            continue
        return f"dsvc: {found}"
    return said[-1] if said and ran.returncode else ""


def _may_deliver(ref: str) -> bool:
    return ref.startswith((HEADS, TAGS, MODELS))


def _events(
    pushed: Sequence[Pushed], clone: Path, environment: Mapping[str, str], branches: Sequence[str]
) -> Iterator[tuple[Event, str | None]]:
    """Yield each event with its commit, None for the tip of the default branch."""
    for one in pushed:
        if one.new is None:
            continue
        if one.ref.startswith(HEADS):
            name = one.ref.removeprefix(HEADS)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in branches):
                merge = _dsvc(["rev-parse", "-q", "--verify", f"{one.new}^2"], clone, environment).returncode == 0
                yield Event("merge" if merge else "commit", name), one.new
        elif one.ref.startswith(TAGS) and one.old is None:
            name = one.ref.removeprefix(TAGS)
            commit = _said(["rev-parse", "-q", f"{one.new}~0"], clone, environment)
            if commit and _said(["merge-base", commit, "HEAD"], clone, environment) == commit:
                yield Event("tag", name), commit
        else:
            model = parse_ref(one.ref)
            if model is not None and model.stage:
                yield Event("promote", f"{model.name}@{model.stage}"), None


def _dsvc(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "dsvc", *words],
        cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip


def _said(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = _dsvc(words, folder, environment)
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
