"""Run the program zfs: one process a call, with busy datasets waited for and failures told in words."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dsvc.errors import DsvcError
from dsvc.storage.snapshots import Read
from dsvc.zfs.allowed import missing, needed
from dsvc.zfs.errors import (
    BrokenStreamError,
    HostUnreachableError,
    KeyMissingError,
    PermissionMissingError,
    ZfsMissingError,
    failure,
    key_missing,
    refused,
)

_PLACES = ":/usr/local/sbin:/usr/sbin:/sbin"  # where the programs lie, and the path of a user often does not
_PATIENCE = 10.0  # seconds; zfs-fuse lets go of a dataset up to 3 s after it was unmounted, a busy OpenZFS later
_PAUSE = 0.02
_NO_PROGRAM, _NOT_REACHED = 127, 255  # exit codes of a shell, and of ssh


@dataclass(frozen=True, slots=True)
class Program:
    """How zfs is called: with `sudo` in front of it, in this environment. Other programs need no `sudo`.

    `far` are words that run one more word as a command of another machine's shell, such as `ssh -- ada@host`; `host`
    is what messages call that machine.
    """

    sudo: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    far: tuple[str, ...] = ()
    host: str = ""

    def find(self, name: str = "zfs") -> str | None:
        """Return where a program of ZFS lies."""
        return shutil.which(name, path=self.environment.get("PATH", os.defpath) + _PLACES)

    def call(self, *words: str, name: str = "zfs", patience: float = _PATIENCE) -> str:
        """Return what `zfs WORDS...` prints. A dataset in use is waited for, so many seconds.

        Raises:
            What `dsvc.zfs.errors.failure` returns.
        """
        end = time.monotonic() + patience
        while True:
            done = subprocess.run(
                self._line(name, words), capture_output=True, env=self._env(), stdin=subprocess.DEVNULL, check=False
            )
            if done.returncode == 0:
                return done.stdout.decode("utf-8", "surrogateescape")
            said = done.stderr.decode("utf-8", "replace")
            if "busy" not in said or time.monotonic() > end:
                raise self._failure(words, said, done.returncode)
            time.sleep(_PAUSE)

    @contextmanager
    def reading(self, *words: str, whole: bool = True) -> Iterator[Read]:
        """Give what reads the output of `zfs WORDS...`, which is ended when the caller has enough.

        With `whole` it must have come to its end by itself.

        Raises:
            What `failure` returns, at the end, where it failed.
        """
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._line("zfs", words), stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL, env=self._env()
            )
            assert process.stdout is not None
            try:
                yield process.stdout.read
                if whole and process.stdout.read(1):
                    raise failure(words, "it was not read to its end")
            except BaseException as error:
                if not whole and isinstance(error, BrokenStreamError):
                    process.stdout.close()
                    code = process.wait()
                    said.seek(0)
                    if code and (reason := said.read().decode("utf-8", "replace")):
                        raise self._failure(words, reason, code) from None  # why there was no stream
                _end(process)
                raise
            finally:
                process.stdout.close()
                if not whole:
                    _end(process)
                process.wait()
            if whole and process.returncode:
                said.seek(0)
                raise self._failure(words, said.read().decode("utf-8", "replace"), process.returncode)

    def write(self, pieces: Iterable[bytes], *words: str) -> None:
        """Give `zfs WORDS...` its input. When a piece cannot be had the program is ended before its input ends.

        Raises:
            What `failure` returns. What `pieces` raises.
        """
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                self._line("zfs", words), stdin=subprocess.PIPE, stdout=said, stderr=said, env=self._env()
            )
            assert process.stdin is not None
            try:
                with suppress(BrokenPipeError):  # it says itself what it did not like
                    for piece in pieces:
                        process.stdin.write(piece)
            except BaseException:
                _end(process)
                raise
            finally:
                with suppress(BrokenPipeError):
                    process.stdin.close()
                process.wait()
            if process.returncode:
                said.seek(0)
                raise self._failure(words, said.read().decode("utf-8", "replace"), process.returncode)

    def _failure(self, words: tuple[str, ...], said: str, code: int) -> DsvcError:
        if self.far and code == _NOT_REACHED:
            reason = " ".join(said.strip().splitlines()[-1:]) or "the connection ended"
            return HostUnreachableError(
                f"zfs at {self.host} cannot be reached: {reason}",
                hint="run the same command again: what was received of a stream is kept, and it goes on from there",
            )
        if self.far and code == _NO_PROGRAM:
            return ZfsMissingError(f"there is no program zfs at {self.host}", hint="install OpenZFS there")
        error = failure(words, said)
        dataset = error.details.get("dataset")
        if dataset is not None and words[0] not in {"allow", "get"}:
            with suppress(DsvcError):
                if isinstance(error, PermissionMissingError):
                    return self._refused(words, said, dataset)
                if isinstance(error, KeyMissingError):
                    root = self.call("get", "-H", "-o", "value", "encryptionroot", dataset)
                    return key_missing(dataset, root.strip())
        return error

    def _refused(self, words: tuple[str, ...], said: str, dataset: str) -> DsvcError:
        """Ask who this is there, and what is allowed to them: not each permission that is needed is missing."""
        user, groups = self.call("-un", name="id").strip(), self.call("-Gn", name="id").split()
        allowed = self.call("allow", dataset)
        return refused(words, said, user, missing(needed(words), dataset, user, groups, allowed))

    def _line(self, name: str, words: tuple[str, ...]) -> list[str]:
        if self.far:
            return [*self.far, f"PATH=$PATH{_PLACES} LC_ALL=C exec {shlex.join((name, *words))}"]
        found = self.find(name)
        if found is None:
            raise ZfsMissingError(
                f"there is no program {name} on this machine",
                hint="install OpenZFS (on Debian: zfsutils-linux), or check out a commit that 'dsvc data index' made",
            )
        return [*(("sudo", "-n") if self.sudo and name == "zfs" else ()), found, *words]

    def _env(self) -> dict[str, str]:
        return {**self.environment, "LC_ALL": "C"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process. One of root, by sudo, may not be: that ends when its pipe is closed."""
    with suppress(PermissionError):
        process.kill()
