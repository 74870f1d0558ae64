"""On what a run takes place: host, platform, processor, memory, graphics cards."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from functools import cache
from typing import BinaryIO

from dsvc.objects.codec import Value


@cache
def describe_machine() -> Mapping[str, Value]:
    """Return facts of this machine by name; `memory` in bytes, `cores` as many as this process may use."""
    system = os.uname()
    facts: dict[str, Value] = {
        "host": system.nodename,
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "cores": _cores(),
    }
    cpu = _cpu()
    if cpu:
        facts["cpu"] = cpu
    try:
        facts["memory"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        pass
    return facts


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() in ("model name", "Model", "cpu model"):
                    return value.strip()[:200]
    except OSError:
        pass
    return ""


_QUERY = ("--query-gpu=index,name,memory.used", "--format=csv,noheader,nounits")


class GraphicsWatch:
    """Asks for the memory that is used on graphics cards, as far as `nvidia-smi` is there.

    `peak` is in bytes by card, 0 where the card does not tell it.
    """

    def __init__(self, path: str | None) -> None:
        self._program = shutil.which("nvidia-smi", path=path)
        self.peak: dict[str, int] = {}

    @property
    def is_there(self) -> bool:
        """Whether there is anything to ask."""
        return self._program is not None

    def look(self) -> None:
        """Look once, which takes some ten milliseconds; a program that fails is not asked again."""
        if self._program is None:
            return
        try:
            done = subprocess.run(
                [self._program, *_QUERY], capture_output=True, timeout=10, check=True, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.SubprocessError):
            self._program = None
            return
        for line in done.stdout.splitlines():
            _raise_peak(self.peak, line)

    def follow(self) -> None:
        """Look each second from now on, in a process and a thread beside this program, which waits for neither.

        The process is nobody's child, so that a program that waits for all of its children does not wait for it. It
        ends when it writes to what nobody reads any more: behind the end of this process, however that comes.
        """
        if self._program is None:
            return
        words = ["/bin/sh", "-c", '"$@" &', "sh", self._program, *_QUERY, "--loop=1"]
        try:
            shell = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
            )
        except OSError:
            return
        shell.wait()
        threading.Thread(target=self._read, args=(shell.stdout,), name="dsvc-graphics", daemon=True).start()

    def _read(self, lines: BinaryIO) -> None:
        with lines:
            for line in lines:
                _raise_peak(self.peak, line)
                if self._program is None:
                    return

    def leave(self) -> None:
        """Look no more."""
        self._program = None


def _raise_peak(peak: dict[str, int], line: bytes) -> None:
    parts = [part.strip() for part in line.decode("utf-8", "replace").split(",")]
    if len(parts) != 3:
        return
    name = f"{parts[0]}: {parts[1]}"
    if parts[2].isdecimal():
        peak[name] = max(peak.get(name, 0), int(parts[2]) << 20)
    elif parts[2] in ("[N/A]", "[Not Supported]"):  # a card that shares the processor's memory, or a part of one
        peak.setdefault(name, 0)
