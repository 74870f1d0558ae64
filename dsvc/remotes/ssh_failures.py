"""What went wrong when a connection over SSH could not be made, told from what the programs said."""

from __future__ import annotations

import re

from dsvc.errors import RemoteError
from dsvc.remotes.ssh_settings import SshSettings
from dsvc.remotes.wire import ConnectionCutError, ForeignPeerError


class SshUnreachableError(ConnectionCutError):
    """No SSH server answers at the host and port."""


class SshUnknownHostError(RemoteError):
    """The host's name cannot be found."""


class SshHostKeyError(RemoteError):
    """The host's key is not known, or not the one that is known."""


class SshRefusedError(RemoteError):
    """The host does not let this user in."""


class SshProgramError(RemoteError):
    """A program that is needed is missing: `ssh` here or dsvc there."""


_UNREACHABLE = (
    "connection refused|connection timed out|operation timed out|no route to host|network is unreachable"
    "|connection reset|connection closed by|kex_exchange_identification|broken pipe|timeout, server"
)
_CHANGED_KEY = "remote host identification has changed|host key for .* has changed"
_NO_PROGRAM = r"command not found|: not found|no such file or directory|not recognized|no module named '?dsvc"


def explain_failure(
    settings: SshSettings, error: Exception, *, stderr: str, code: int | None
) -> Exception:
    """Return what to raise for `error`, given what was printed on stderr and the exit code (None: still running)."""
    host, text = settings.account, stderr.lower()
    quoted = _quote(stderr)
    if code == 255 and isinstance(error, ConnectionCutError | ForeignPeerError):
        if "could not resolve" in text or "name or service not known" in text:
            return SshUnknownHostError(
                f"the host {settings.host} is not known{quoted}", hint="check the name in the remote's address"
            )
        if "host key verification failed" in text or "no matching host key" in text or re.search(_CHANGED_KEY, text):
            if re.search(_CHANGED_KEY, text):
                hint = f"ask who runs it whether its key was changed; only then: ssh-keygen -R {settings.host}"
                return SshHostKeyError(f"the key of {settings.host} is not the one that is known{quoted}", hint=hint)
            hint = f"connect once by hand and compare the key: ssh {_port(settings)}{host}"
            return SshHostKeyError(f"the key of {settings.host} is not known on this machine{quoted}", hint=hint)
        if "permission denied" in text or "too many authentication failures" in text or "no supported auth" in text:
            return SshRefusedError(
                f"{host} does not let you in{quoted}",
                hint=f"try 'ssh {_port(settings)}{host}'; ssh-add -l lists your keys, ssh-copy-id installs one there",
            )
        if re.search(_UNREACHABLE, text):
            return SshUnreachableError(
                f"{settings.host} cannot be reached by SSH{quoted}", hint="check host, port and network"
            )
        return SshUnreachableError(f"the connection to {host} failed{quoted}")
    said = f"{error.said.decode('utf-8', 'replace')}\n{stderr}" if isinstance(error, ForeignPeerError) else stderr
    if code in {126, 127} or (code and re.search(_NO_PROGRAM, said.lower())):
        return SshProgramError(
            f"'{settings.command}' cannot be run at {host}{_quote(said)}",
            hint="install dsvc there (pip install dsvc), or say where it is: "
            f"dsvc config ssh.command '/path/to/{settings.command}'",
        )
    if isinstance(error, ForeignPeerError):
        return _foreign(settings, error)
    if isinstance(error, ConnectionCutError):
        ending = "" if code is None else f" with exit code {code}"
        return ConnectionCutError(f"'{settings.command}' at {host} ended{ending}{quoted}", hint=error.hint)
    return error


def _foreign(settings: SshSettings, error: ForeignPeerError) -> Exception:
    said = "".join(c if c.isprintable() else "?" for c in error.said.decode("utf-8", "replace"))
    found = ForeignPeerError(error.said)
    found.message = f"{settings.account} does not answer as 'dsvc hub serve' would: it begins with {said!r}"
    found.args = (found.message,)
    found.hint = (
        "if that comes from a login script there, let it print only on a terminal; "
        f"otherwise check what '{settings.command}' runs there"
    )
    return found


def _port(settings: SshSettings) -> str:
    return f"-p {settings.port} " if settings.port else ""


def _quote(stderr: str) -> str:
    """The last telling line that was printed, in quotes."""
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in stderr.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("@@@", "** ", "Warning: Permanently added"))]
    return f": '{lines[-1][:300]}'" if lines else ""
