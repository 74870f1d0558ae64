"""The same stream through paramiko, for machines without the `ssh` program."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from dsvc.errors import RemoteError, RequestError
from dsvc.remotes.ssh.failures import SshHostKeyError, SshRefusedError, SshUnknownHostError, SshUnreachableError
from dsvc.remotes.ssh.paramiko_config import SshConfig, read_config
from dsvc.remotes.ssh.settings import SshSettings, far_command
from dsvc.remotes.wire.frames import Bytes, ConnectionCutError

_WINDOW = 8 << 20  # bytes that the far end may send ahead
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # encrypt and authenticate in one pass
_PIECE = 256 << 10
_ENDING = 3.0  # seconds that the far end may take to end by itself
# paramiko can stall when keys are exchanged anew in the middle of a transfer. With a block of 16 bytes that is due
# after 2^36 bytes (RFC 4344, 3.2), not after the 512 MiB that paramiko waits for.
_REKEY_BYTES = 1 << 36
_REKEY_PACKETS = 1 << 31


class ParamikoStream:
    """A stream to the far end's command, or to its SFTP server, over a connection of its own."""

    def __init__(self, settings: SshSettings, *, environment: Mapping[str, str], sftp: bool = False) -> None:
        """Connect and start the command.

        Raises:
            RemoteError: as the connection fails. RequestError: when paramiko is not installed.
        """
        try:
            import paramiko
        except ImportError as error:
            raise RequestError("paramiko is not installed", hint="pip install 'dsvc[ssh]', or install ssh") from error
        import logging

        logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what matters is raised
        self._clients: list[Any] = []
        self._rest = memoryview(b"")
        self._said: deque[bytes] = deque(maxlen=200)
        self._closing = threading.Lock()
        self._closed = False
        try:
            config = read_config(paramiko, settings, environment)
            transport = self._login(paramiko, settings, config).get_transport()
            transport.set_keepalive(settings.keepalive)
            self._channel = transport.open_session(window_size=_WINDOW)
            if sftp:
                self._channel.invoke_subsystem("sftp")
            else:
                self._channel.exec_command(far_command(settings))
        except BaseException as error:
            self._let_go()
            found = _translate(paramiko, settings, error)
            if found is None:
                raise
            raise found from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def readinto(self, view: memoryview) -> int:
        """See `Stream.readinto`."""
        if not self._rest:
            try:
                self._rest = memoryview(self._channel.recv(_PIECE))
            except Exception:  # noqa: BLE001  # whatever it is, nothing more comes
                return 0
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def write(self, parts: Sequence[Bytes]) -> None:
        """See `Stream.write`."""
        small = b"".join(part for part in parts if len(part) < 1024)
        joined = [small] if len(small) == sum(map(len, parts)) else parts
        try:
            for part in joined:
                rest = memoryview(part)
                while rest:
                    count = self._channel.send(bytes(rest[:32704]))  # a packet of OpenSSH's less its header
                    if not count:
                        raise ConnectionCutError("the connection is closed")
                    rest = rest[count:]
        except (OSError, EOFError) as error:
            raise ConnectionCutError("the connection is closed") from error

    def close(self) -> None:
        """See `Stream.close`; the far end has been told, and given time to end."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(Exception):
                self._channel.shutdown_write()
                self._channel.status_event.wait(_ENDING)
            self._let_go()

    def kill(self) -> None:
        """Cut the connection at once."""
        self._let_go()

    def ending(self, *, patience: float = 1.0) -> tuple[str, int | None]:
        """Return what was printed on stderr, and the exit code of a command that ends within `patience` seconds."""
        ended = self._channel.status_event.wait(patience)
        self._listener.join(0.5 if ended else 0.0)
        code = self._channel.exit_status if ended else -1
        return b"".join(self._said).decode("utf-8", "replace"), code if code >= 0 else None

    def _listen(self) -> None:
        with contextlib.suppress(Exception):
            while said := self._channel.recv_stderr(4096):
                self._said.append(said)

    def _let_go(self) -> None:
        for client in reversed(self._clients):
            with contextlib.suppress(Exception):
                client.close()

    def _login(self, paramiko: Any, settings: SshSettings, config: SshConfig) -> Any:
        """Connect through all jump hosts and return the client of the last one."""
        client = paramiko.SSHClient()
        for file in config.known_hosts:
            with contextlib.suppress(FileNotFoundError):
                client.load_system_host_keys(os.fspath(file))
        client.set_missing_host_key_policy(_Policy(settings, accept=config.accept_new))
        if config.jump is not None:
            over = self._login(paramiko, settings, config.jump).get_transport()
            sock = over.open_channel("direct-tcpip", (config.host, config.port), ("127.0.0.1", 0))
        elif config.proxy_command is not None:
            sock = paramiko.ProxyCommand(config.proxy_command)
        else:
            sock = socket.create_connection((config.host, config.port), settings.connect_timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # so that a host that vanished is noticed
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.keepalive * 4000)
        self._clients.append(client)

        def make_transport(sock: Any, **options: Any) -> Any:
            transport = paramiko.Transport(sock, **options)
            transport.packetizer.REKEY_BYTES = _REKEY_BYTES
            transport.packetizer.REKEY_PACKETS = _REKEY_PACKETS
            security = transport.get_security_options()
            others = [cipher for cipher in security.ciphers if cipher not in _CIPHERS]
            known = [cipher for cipher in _CIPHERS if cipher in security.ciphers]
            security.ciphers = tuple(config.ciphers or [*known, *others])
            return transport

        name, port = (config.key_alias, 22) if config.key_alias else (config.host, config.port)
        try:
            client.connect(
                name,
                port,
                username=config.user,
                key_filename=[os.fspath(file) for file in config.identities] or None,
                allow_agent=not config.identities_only,
                look_for_keys=not config.identities_only,
                sock=sock,
                timeout=settings.connect_timeout,
                banner_timeout=settings.connect_timeout,
                auth_timeout=settings.connect_timeout,
                channel_timeout=settings.connect_timeout,
                transport_factory=make_transport,
            )
        except paramiko.BadHostKeyException as error:
            entry = name if port == 22 else f"[{name}]:{port}"
            raise SshHostKeyError(settings, _quoted(error), changed=True, entry=entry) from error
        return client


class _Policy:
    """What to do about a host that no file knows."""

    def __init__(self, settings: SshSettings, *, accept: bool) -> None:
        self._settings, self._accept = settings, accept

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Called by paramiko."""
        del client
        if not self._accept:
            raise SshHostKeyError(
                self._settings, f": '{key.get_name()} {key.fingerprint}' of {hostname}", changed=False
            )


def _translate(paramiko: Any, settings: SshSettings, error: BaseException) -> RemoteError | None:
    if isinstance(error, RemoteError) or not isinstance(error, Exception):
        return None
    quoted = _quoted(error)
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
        return SshRefusedError(settings, quoted)
    if isinstance(error, socket.gaierror):
        return SshUnknownHostError(settings, quoted)
    if isinstance(error, paramiko.SSHException | OSError | EOFError):
        return SshUnreachableError(settings, quoted)
    return None


def _quoted(error: Exception) -> str:
    return f": '{' '.join(str(error).split())[:300]}'" if str(error) else ""
