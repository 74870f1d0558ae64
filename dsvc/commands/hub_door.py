"""What sshd runs for the key of a hub's account, without the parser of the command line: somebody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR")


def open_door(
    hub: Path, *, user: str, key: str, environment: Mapping[str, str], moment: Callable[[], datetime]
) -> None:
    """Serve an account of the hub in a folder over the standard streams; see `hub_shell`."""
    import socket

    from dsvc.actions.hub_shell import hub_shell
    from dsvc.remotes.ssh.byte_streams import standard_stream

    def now() -> tuple[int, int]:
        found = moment()
        offset = found.utcoffset()
        return int(found.timestamp() * 1_000_000), int(offset.total_seconds() // 60) if offset is not None else 0

    hub_shell(
        hub,
        account=user,
        key=key,
        command=environment.get("SSH_ORIGINAL_COMMAND"),
        stream=standard_stream,
        now=now,
        host=socket.gethostname(),
        environment={name: value for name, value in environment.items() if name in _KEPT},
    )
