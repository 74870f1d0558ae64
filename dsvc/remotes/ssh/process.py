"""The stream through a program: the user's own `ssh`, which brings their configuration, agent and jump hosts along."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from dsvc.remotes.ssh.byte_streams import widen, write_all
from dsvc.remotes.ssh.failures import SshProgramError
from dsvc.remotes.ssh.settings import SshSettings, far_command
from dsvc.remotes.wire.frames import Bytes, ConnectionCutError

OVERRIDE = "DSVC_SSH_COMMAND"
_FAST_CIPHER = "aes128-gcm@openssh.com"  # 1.4 times as fast as OpenSSH's first choice where a processor knows AES
_SHARED = 10  # seconds that a connection waits for another command
_LONGEST_FOLDER = 45  # bytes; the name of a socket has 107, of which ssh takes 58 for a hash and its random end
_ENDING = 3.0  # seconds that the program may take to end by itself


class ProcessStream:
    """A stream to the standard input and output of a program that it starts, and ends."""

    def __init__(self, words: Sequence[str], *, environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            SshProgramError: when there is no such program.
        """
        try:
            self._process = subprocess.Popen(
                list(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                bufsize=0,
            )
        except OSError as error:
            raise SshProgramError(
                f"the program {words[0]!r} cannot be started: {error.strerror}",
                hint="install OpenSSH's client, or pip install 'dsvc[ssh]' and dsvc config remote.NAME.client paramiko",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._write = self._process.stdin.fileno()
        self._read = self._process.stdout.fileno()
        widen(self._write)
        widen(self._read)
        self._said: deque[bytes] = deque(maxlen=200)
        self._closing = threading.Lock()
        self._closed = False
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
        self._listener.start()

    def readinto(self, view: memoryview) -> int:
        """See `Stream.readinto`."""
        try:
            return os.readv(self._read, [view])
        except OSError:
            return 0

    def write(self, parts: Sequence[Bytes]) -> None:
        """See `Stream.write`."""
        if self._closed:
            raise ConnectionCutError("the connection is closed")
        write_all(lambda rest: os.writev(self._write, rest), parts)

    def close(self) -> None:
        """See `Stream.close`; the program is gone afterwards."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(_ENDING)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the program at once."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()

    def ending(self, *, patience: float = 1.0) -> tuple[str, int | None]:
        """Return what was printed on stderr, and the exit code of a program that ends within `patience` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._listener.join(0.5 if self._process.returncode is not None else 0.0)
        return b"".join(self._said).decode("utf-8", "replace"), self._process.returncode

    def _listen(self, stderr: object) -> None:
        with contextlib.suppress(OSError, ValueError):
            while said := os.read(stderr.fileno(), 4096):  # type: ignore[attr-defined]
                self._said.append(said)


def _may_choose_cipher(words: Sequence[str], account: str, environment: Mapping[str, str]) -> bool:
    """Whether this processor is fast at AES, and neither the options nor any configuration file chooses ciphers."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        if " aes" not in file.read():
            return False
    asked = [_start_query([*words, "-G", "--", account], environment) for words in (words, [words[0], "-F", "none"])]
    told = [b"" if process is None else process.communicate()[0] for process in asked]
    ciphers = [[line for line in text.splitlines() if line.startswith(b"ciphers ")] for text in told]
    return ciphers[0] == ciphers[1] and len(ciphers[0]) == 1


def _start_query(words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            words,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def ssh_words(settings: SshSettings, environment: Mapping[str, str], *, sftp: bool = False) -> list[str]:
    """Return the command line that runs the far end's command over SSH, or its SFTP server."""
    words = _words(settings, environment)
    if sftp:
        return [*words, "-s", "--", settings.account, "sftp"]
    return [*words, "--", settings.account, far_command(settings)]


def shell_words(settings: SshSettings, environment: Mapping[str, str]) -> list[str]:
    """Return the words that run one more word as a command of the far end's shell, and never ask anything.

    Commands that follow each other soon share a connection, which ends by itself.
    """
    words = _words(settings, environment)
    folder = os.path.join(tempfile.gettempdir(), f"dsvc-ssh-{os.geteuid()}")
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        found = os.lstat(folder)
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        if mine and len(os.fsencode(folder)) <= _LONGEST_FOLDER:
            words += ["-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/%C", "-o", f"ControlPersist={_SHARED}"]
    return [*words, "--", settings.account]


def _words(settings: SshSettings, environment: Mapping[str, str]) -> list[str]:
    override = environment.get(OVERRIDE)
    words = shlex.split(override) if override else ["ssh"]
    words += ["-T", "-x", "-e", "none", "-o", "ClearAllForwardings=yes"]
    if not settings.interactive:
        words += ["-o", "BatchMode=yes"]
    words += ["-o", f"ConnectTimeout={settings.connect_timeout}"]
    words += ["-o", f"ServerAliveInterval={settings.keepalive}", "-o", "ServerAliveCountMax=4"]
    words += settings.options
    if not override and _may_choose_cipher(words, settings.account, environment):
        words += ["-o", f"Ciphers=^{_FAST_CIPHER}"]
    if settings.port:
        words += ["-p", str(settings.port)]
    return words
