"""Write what lets another service, or a hub, deliver a project."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dsvc.atomic import write_file
from dsvc.delivery.gates import Gate
from dsvc.delivery.services import Service, Wanted, service_files
from dsvc.errors import RequestError


class CiInitResult(NamedTuple):
    """The files that were written, and those that were so already."""

    written: tuple[Path, ...]
    same: tuple[Path, ...]


def ci_init(root: Path, service: Service, wanted: Wanted, *, force: bool = False) -> CiInitResult:
    """Write the pipeline of a service into the root of a working copy.

    Raises:
        BadGateError: for a gate that is none. RequestError: when a file is there and says something else; nothing is
            written then.
    """
    for gate in wanted.gates:
        Gate(gate)
    return _write({root / name: text for name, text in service_files(service, wanted).items()}, force=force)


def ci_init_hub(hub: Path, *, branches: Sequence[str] = (), force: bool = False) -> CiInitResult:
    """Let a hub deliver what is pushed to it: write its hook `post-receive`.

    From then on the steps of projects run on this machine, as whoever runs the hub.

    Raises:
        RequestError: when there is no hub, or another hook is there.
    """
    if not (hub / "hooks").is_dir():
        raise RequestError(f"{hub} is no hub", hint=f"dsvc hub init {hub}")
    words = [sys.executable, "-m", "dsvc", "ci", "hook"]
    words += [f"--branch={pattern}" for pattern in branches]
    text = f'#!/bin/sh\n# Runs the steps of [delivery] of what was pushed.\nexec {shlex.join(words)} "$@"\n'
    hook = hub / "hooks" / "post-receive"
    found = _write({hook: text}, force=force)
    hook.chmod(0o755)
    return found


def _write(files: dict[Path, str], *, force: bool) -> CiInitResult:
    written: list[Path] = []
    same: list[Path] = []
    for path, text in files.items():
        try:
            there = path.read_bytes()
        except FileNotFoundError:
            there = None
        if there is not None and there != text.encode() and not force:
            raise RequestError(f"{path} is there and says something else", hint="--force replaces it")
        (same if there == text.encode() else written).append(path)
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, files[path].encode())
    return CiInitResult(tuple(written), tuple(same))
