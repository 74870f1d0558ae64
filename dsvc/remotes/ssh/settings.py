"""What is needed to reach a place over SSH."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal, get_args

from dsvc.errors import RequestError

SshClient = Literal["auto", "openssh", "paramiko"]
SshServer = Literal["auto", "dsvc", "sftp"]
_CLIENTS, _SERVERS = get_args(SshClient), get_args(SshServer)
COMMAND = "dsvc hub serve"
_MEANING = frozenset(" '\"`$;&|<>()\\")  # to a shell


@dataclass(frozen=True, slots=True)
class SshSettings:
    """Where and how.

    `path` is the folder at the far end: absolute, below the home folder, or `~/...`. `command` is what is run there,
    followed by the path; where `server` is "auto" and that cannot be run, the host's SFTP server has to do. `options`
    are words for the `ssh` program, such as `-i FILE` and `-o Name=value`. Times are in seconds. `interactive` says
    that somebody sits at a terminal who can answer questions of `ssh`. A call during which the connection breaks is
    made `attempts` times in all.
    """

    host: str
    path: str
    user: str | None = None
    port: int | None = None
    client: SshClient = "auto"
    server: SshServer = "auto"
    command: str = COMMAND
    options: tuple[str, ...] = ()
    connect_timeout: int = 30
    keepalive: int = 15
    interactive: bool = False
    attempts: int = 5

    def __post_init__(self) -> None:
        """Refuse what a shell or the `ssh` program could take for something else.

        Raises:
            RequestError: for a host or user that is none, an empty path, an unknown client or server, no attempt.
        """
        if self.attempts < 1:
            raise RequestError("attempts must be above 0", hint="leave it out for the default")
        for name, value in (("host", self.host), ("user", self.user or "x")):
            if not value or value.startswith("-") or not value.isprintable() or _MEANING.intersection(value):
                raise RequestError(f"{value!r} is no {name} for SSH")
        for name, value, choices in (("client", self.client, _CLIENTS), ("server", self.server, _SERVERS)):
            if value not in choices:
                raise RequestError(
                    f"{value!r} is no {name} for SSH", hint=f"dsvc config remote.NAME.{name} {'|'.join(choices)}"
                )
        if not self.path or "\0" in self.path or "\n" in self.path:
            raise RequestError(f"{self.path!r} is no path at an SSH host")

    @property
    def account(self) -> str:
        """`user@host`, or the host alone."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def place(self) -> str:
        """The address, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{host}{port}{self.path if self.path.startswith('/') else '/~/' + self.path}"


def far_command(settings: SshSettings) -> str:
    """Return what the far end's shell is told to run."""
    path = settings.path if not settings.path.startswith("-") else f"./{settings.path}"
    return f"{settings.command} {shlex.quote(path)}"
