"""Programs that run as long as somebody looks: start them, know when they answer, end them."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from threading import Event
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from dsvc.errors import RequestError

_STARTS: Final = 60  # seconds that a program has until it answers
_ENDS: Final = 15  # seconds that it has to end
_TOLD: Final = 2  # lines of its log
_LINE: Final = 300  # characters of each
HERE: Final = "127.0.0.1"


class MissingProgramError(RequestError):
    """A program that is not installed."""


class ProgramFailedError(RequestError):
    """A program that did not start, or ended by itself."""


class PortTakenError(RequestError):
    """A port on which somebody listens already."""


@dataclass(slots=True)
class Program:
    """One that runs: its title, where it answers, where it writes its log."""

    title: str
    address: str
    log: Path
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise ProgramFailedError where it has ended."""
        code = self.process.poll()
        if code is not None:
            said = self.log.read_text("utf-8", "replace").strip().splitlines()
            why = [line for line in said if re.search(r"\b(level=error|err=|panic:|fatal)", line)] or said
            text = " / ".join(line[:_LINE] for line in why[-_TOLD:])
            raise ProgramFailedError(f"{self.title} ended with exit code {code}: {text}", hint=f"its log is {self.log}")


def find_program(names: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Return the path of the first of some programs that is installed."""
    path = environment.get("PATH", "")
    # Where Debian puts servers, which is not on everybody's PATH.
    return next((found for name in names if (found := which(name, path=f"{path}:/usr/sbin"))), None)


def take_port(title: str, port: int, option: str) -> int:
    """Return a port on which a program can listen; for 0 a free one. Raises PortTakenError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HERE, port))
        except OSError as error:
            raise PortTakenError(
                f"{title} cannot listen on {HERE}:{port}: {error.strerror}", hint=f"{option} 0 takes a free port"
            ) from error
        return int(probe.getsockname()[1])


def start_program(
    title: str, words: Sequence[str], address: str, log: Path, environment: Mapping[str, str]
) -> Program:
    """Start a program in a session of its own, so that Ctrl-C is for who started it to pass on."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environment), start_new_session=True
        )
    return Program(title, address, log, process)


def wait_until_ready(program: Program, path: str, stopped: Event) -> None:
    """Return when a program answers at a path, or `stopped` is set.

    Raises:
        ProgramFailedError: when it ends, or does not answer in a minute.
    """
    deadline = time.monotonic() + _STARTS
    while not stopped.is_set():
        program.check()
        with suppress(OSError, URLError), urlopen(f"{program.address}{path}", timeout=5) as answer:  # noqa: S310
            if answer.status == 200:
                return
        if time.monotonic() > deadline:
            raise ProgramFailedError(f"{program.title} does not answer at {program.address}; its log is {program.log}")
        stopped.wait(0.1)


def end_programs(programs: Sequence[Program]) -> None:
    """End programs and wait for them; one that does not end in time is killed."""
    for program in programs:
        with suppress(ProcessLookupError):
            program.process.terminate()
    deadline = time.monotonic() + _ENDS
    for program in programs:
        try:
            program.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            program.process.kill()
            program.process.wait()
