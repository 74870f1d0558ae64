"""The lines of an `authorized_keys` file that let accounts of a hub in, and nowhere else."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from dsvc.atomic import write_file
from dsvc.errors import RequestError
from dsvc.hub.accounts import Account
from dsvc.hub.keys import PublicKey

_COMMAND = re.compile(r'(?:^|,)command="((?:[^"\\]|\\.)*)"')


class OpenDoorError(RequestError):
    """A key that is to be limited to a hub opens a shell by another line."""


def forced_line(program: Sequence[str], hub: Path, account: str, key: PublicKey) -> str:
    """Return the line by which a key does nothing but run the hub's shell for an account.

    Raises:
        RequestError: for a path that such a line cannot hold.
    """
    words = [*program, "hub", "shell", "--hub", os.fspath(hub), "--user", account, "--key", key.fingerprint]
    command = shlex.join(words)
    if not command.isprintable():
        raise RequestError(f"the path {os.fspath(hub)!r} cannot stand in an authorized_keys file")
    escaped = command.replace("\\", "\\\\").replace('"', '\\"')
    return f'restrict,command="{escaped}" {key.line}'


def update_authorized_keys(path: Path, hub: Path, accounts: Iterable[Account], *, program: Sequence[str]) -> None:
    """Let the file have exactly these accounts' lines for this hub. All other lines stay where they are.

    The file is replaced at once; it and its folder are made where they are missing, for this user alone.

    Raises:
        OpenDoorError: when another line has one of the keys: sshd takes the first line of a key.
    """
    target = Path(os.path.realpath(path))
    try:
        text = target.read_bytes()
    except FileNotFoundError:
        text = b""
    kept = [line for line in text.splitlines(keepends=True) if not _is_ours(line, hub)]
    if kept and not kept[-1].endswith(b"\n"):
        kept[-1] += b"\n"
    lines = []
    for account in accounts:
        for key in account.keys:
            for number, line in enumerate(kept, 1):
                if not line.lstrip().startswith(b"#") and key.data.encode() in line.split():
                    raise OpenDoorError(
                        f"the key {key.fingerprint} of {account.name} has a line of its own in {path}",
                        hint=f"take line {number} out, or give {account.name} another key",
                    )
            lines.append(forced_line(program, hub, account.name, key).encode() + b"\n")
    if not target.parent.is_dir():
        target.parent.mkdir(mode=0o700, parents=True)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    write_file(target, b"".join([*kept, *lines]), mode=mode)


def _is_ours(line: bytes, hub: Path) -> bool:
    text = line.decode("utf-8", "surrogateescape")
    found = _COMMAND.search(text)
    if found is None or not text.startswith("restrict,"):
        return False
    try:
        words = shlex.split(re.sub(r"\\(.)", r"\1", found[1]))
    except ValueError:
        return False
    start = next((n for n in range(len(words)) if words[n : n + 3] == ["hub", "shell", "--hub"]), None)
    return start is not None and words[start + 3 : start + 4] == [os.fspath(hub)]
