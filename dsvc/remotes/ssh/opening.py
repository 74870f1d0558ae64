"""A repository's place on another machine, over SSH."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from dsvc.remotes.sftp.backend import SftpBackend
from dsvc.remotes.sftp.connection import SftpConnection
from dsvc.remotes.ssh.failures import NoFarProgramError, SshProgramError, SshUnreachableError, explain_failure
from dsvc.remotes.ssh.paramiko_channel import ParamikoStream
from dsvc.remotes.ssh.process import OVERRIDE, ProcessStream, ssh_words
from dsvc.remotes.ssh.settings import SshSettings
from dsvc.remotes.wire.client import WireBackend
from dsvc.remotes.wire.connection import WireConnection
from dsvc.remotes.wire.frames import ConnectionCutError, ForeignPeerError, ProtocolError, Stream
from dsvc.remotes.wire.reconnecting import DELAYS
from dsvc.remotes.wrappers.limited import Limits

_T = TypeVar("_T")


class _SshStream(Stream, Protocol):
    def kill(self) -> None: ...

    def ending(self, *, patience: float = 1.0) -> tuple[str, int | None]: ...


def open_ssh(
    settings: SshSettings,
    *,
    environment: Mapping[str, str],
    create: bool = False,
    delays: Sequence[float] | None = None,
    limits: Limits | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> WireBackend | SftpBackend:
    """Connect, and return the backend in the folder `settings.path` there; `create` makes that folder.

    `meanwhile` is called once while the far end starts. Both ways keep to `limits`. `delays` are the seconds between
    attempts, in place of those that `settings` ask for.

    Raises:
        RemoteError: which says why it cannot be reached, and what to do.
        RequestError: when paramiko is to be used and is not installed.
    """
    kept = limits or Limits()  # by all connections together
    if delays is None:
        delays = [DELAYS[min(number, len(DELAYS) - 1)] for number in range(settings.attempts - 1)]
    if settings.server == "sftp":
        return _open_sftp(settings, environment, create=create, delays=delays, limits=kept)
    opener = _opener(settings, environment)
    to_do = [] if meanwhile is None else [meanwhile]

    def connect() -> WireConnection:
        place = settings.place

        def converse(stream: Stream, patiently: Callable[[], None]) -> WireConnection:
            def wait() -> None:
                while to_do:
                    to_do.pop()()
                patiently()

            return WireConnection(stream, place=place, create=create, limits=kept, meanwhile=wait)

        return _connect(settings, opener(), converse)

    try:
        return WireBackend(connect, place=settings.place, delays=delays).open()
    except NoFarProgramError as missing:
        if settings.server != "auto":
            raise
        try:
            return _open_sftp(settings, environment, create=create, delays=delays, limits=kept)
        except (ConnectionCutError, ForeignPeerError, ProtocolError, SshProgramError) as error:  # nor SFTP
            raise missing from error


def _open_sftp(
    settings: SshSettings, environment: Mapping[str, str], *, create: bool, delays: Sequence[float], limits: Limits
) -> SftpBackend:
    opener = _opener(settings, environment, sftp=True)

    def connect() -> SftpConnection:
        def converse(stream: Stream, patiently: Callable[[], None]) -> SftpConnection:
            patiently()
            return SftpConnection(stream, place=settings.place, limits=limits)

        return _connect(settings, opener(), converse)

    path = settings.path.removeprefix("~/") if settings.path != "~" else "."
    backend = SftpBackend(connect, path.rstrip("/") or "/", place=settings.place, delays=delays)
    try:
        return backend.open(create=create)
    except BaseException:
        backend.close()
        raise


def _connect(
    settings: SshSettings, stream: _SshStream, converse: Callable[[Stream, Callable[[], None]], _T]
) -> _T:
    """Return what `converse(stream, patiently)` makes of a stream; it calls `patiently` before it waits."""
    patience = 2 * settings.connect_timeout  # seconds: for the connection, and for dsvc there to start
    late = threading.Event()

    def give_up() -> None:
        late.set()
        stream.kill()

    timer = threading.Timer(patience, give_up)
    timer.daemon = True

    def patiently() -> None:
        if not settings.interactive:
            timer.start()

    try:
        return converse(stream, patiently)
    except (ConnectionCutError, ForeignPeerError) as error:
        if late.is_set():
            stream.close()
            raise SshUnreachableError(settings, f": no answer within {patience} seconds") from error
        stderr, code = stream.ending()
        stream.close()
        raise explain_failure(settings, error, stderr=stderr, code=code) from error
    except BaseException:
        stream.close()
        raise
    finally:
        timer.cancel()


def _opener(
    settings: SshSettings, environment: Mapping[str, str], *, sftp: bool = False
) -> Callable[[], _SshStream]:
    client = settings.client
    if client == "auto":
        has_program = environment.get(OVERRIDE) or shutil.which("ssh", path=environment.get("PATH"))
        client = "openssh" if has_program else "paramiko"
    if client == "openssh":
        words = ssh_words(settings, environment, sftp=sftp)
        return lambda: ProcessStream(words, environment=environment)
    return lambda: ParamikoStream(settings, environment=environment, sftp=sftp)
