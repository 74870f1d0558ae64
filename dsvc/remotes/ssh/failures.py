"""What went wrong when a connection over SSH could not be made, told from what the programs said."""

from __future__ import annotations

import re
import shlex

from dsvc.errors import RemoteError
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.frames import ConnectionCutError, ForeignPeerError


class SshUnreachableError(ConnectionCutError):
    """No SSH server answers at the host and port."""

    def __init__(self, settings: SshSettings, quoted: str) -> None:
        super().__init__(
            f"{settings.host} cannot be reached by SSH{quoted}", hint="check the host, the port and the network"
        )


class SshUnknownHostError(RemoteError):
    """The host's name cannot be found."""

    def __init__(self, settings: SshSettings, quoted: str) -> None:
        super().__init__(
            f"the host {settings.host} is not known{quoted}", hint="check the name in the remote's address"
        )


class SshHostKeyError(RemoteError):
    """The host's key is not known, or not the one that is known.

    `entry` is the name under which it is known, `file` where, in case that is not as the address says: ssh's settings
    may give a host another name and port.
    """

    def __init__(
        self, settings: SshSettings, quoted: str, *, changed: bool, entry: str | None = None, file: str | None = None
    ) -> None:
        if changed:
            name = entry or (f"[{settings.host}]:{settings.port}" if settings.port else settings.host)
            where = f"-f {shlex.quote(file)} " if file is not None else ""
            super().__init__(
                f"the key of {settings.host} is not the one that is known{quoted}",
                hint="ask who runs the host whether its key was changed, and only then: "
                f"ssh-keygen {where}-R {shlex.quote(name)}",
            )
        else:
            super().__init__(
                f"the key of {settings.host} is not known on this machine{quoted}",
                hint=f"connect once by hand and compare the key: {by_hand(settings)}",
            )


class SshRefusedError(RemoteError):
    """The host does not let this user in."""

    def __init__(self, settings: SshSettings, quoted: str) -> None:
        super().__init__(
            f"{settings.account} does not let you in{quoted}",
            hint=f"try '{by_hand(settings)}'; ssh-add -l lists the keys here, ssh-copy-id installs one there",
        )


class SshProgramError(RemoteError):
    """A program that is needed is missing: `ssh` here or dsvc there."""


class NoFarProgramError(SshProgramError):
    """There is no dsvc at the far end."""

    def __init__(self, settings: SshSettings, quoted: str) -> None:
        super().__init__(
            f"'{settings.command}' cannot be run at {settings.account}{quoted}",
            hint="install dsvc there (pip install dsvc), or say where it is: "
            "dsvc config remote.NAME.command '/path/to/dsvc hub serve'",
        )


_UNREACHABLE = (
    "connection refused|connection timed out|operation timed out|no route to host|network is unreachable"
    "|connection reset|connection closed by|kex_exchange_identification|broken pipe|timeout, server|not responding"
)
_UNKNOWN = "could not resolve|name or service not known|nodename nor servname"
_DENIED = "permission denied|too many authentication failures|no supported authentication"
_CHANGED_KEY = "remote host identification has changed|host key for .* has changed"
_ENTRY = r"(?m)^Host key for (\S+) has changed"
_KNOWN_HOSTS = r"(?m)^Offending \S+ key in (.+):\d+\r?$"
_KEY = f"host key verification failed|no matching host key|{_CHANGED_KEY}"
_NO_PROGRAM = r"command not found|: not found|no such file or directory|not recognized|no module named '?dsvc"
_SSH_FAILED = 255  # the exit code of `ssh` for whatever is not the command's own
_NOT_RUN = (126, 127)  # of a shell that could not run the command


def explain_failure(settings: SshSettings, error: Exception, *, stderr: str, code: int | None) -> Exception:
    """Return what to raise for `error`, given what was printed on stderr and the exit code (None: not ended)."""
    text, quoted = stderr.lower(), quote(stderr)
    if code == _SSH_FAILED:
        if re.search(_UNKNOWN, text):
            return SshUnknownHostError(settings, quoted)
        if re.search(_KEY, text):
            changed = re.search(_CHANGED_KEY, text) is not None
            entry, file = re.search(_ENTRY, stderr), re.search(_KNOWN_HOSTS, stderr)
            return SshHostKeyError(
                settings, quoted, changed=changed, entry=entry and entry[1], file=file and file[1]
            )
        if re.search(_DENIED, text):
            return SshRefusedError(settings, quoted)
        if re.search(_UNREACHABLE, text) or not isinstance(error, ForeignPeerError):
            return SshUnreachableError(settings, quoted)
    said = error.said.decode("utf-8", "replace") if isinstance(error, ForeignPeerError) else ""
    if code in _NOT_RUN or (code and re.search(_NO_PROGRAM, f"{said}\n{text}".lower())):
        return NoFarProgramError(settings, quoted or quote(said))
    if isinstance(error, ForeignPeerError):
        return ForeignPeerError(
            error.said,
            f"{settings.account} does not answer as 'dsvc hub serve' would; it begins with{quote(said, before='')}",
            hint=f"if a login script there prints that, let it print on terminals only; otherwise check what "
            f"'{settings.command}' runs there",
        )
    if isinstance(error, ConnectionCutError):
        ending = "" if code is None else f" with exit code {code}"
        return ConnectionCutError(f"'{settings.command}' at {settings.account} ended{ending}{quoted}")
    return error


def by_hand(settings: SshSettings) -> str:
    """Return what a person types to log in there."""
    return f"ssh {f'-p {settings.port} ' if settings.port else ''}{settings.account}"


def quote(stderr: str, *, before: str = ":") -> str:
    """Return the last telling line that was printed, in quotes, for the end of a sentence."""
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in stderr.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("@@@", "** ", "Warning: Permanently added"))]
    return f"{before} '{lines[-1][:300]}'" if lines else ""
