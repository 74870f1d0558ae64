"""On what a run takes place: host, platform, processor, memory, graphics cards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache

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


class GraphicsWatch:
    """Asks for the memory that is used on graphics cards, as far as `nvidia-smi` is there; `peak` in bytes by card."""

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
        words = [self._program, "--query-gpu=index,name,memory.used", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(words, capture_output=True, timeout=10, check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError):
            self._program = None
            return
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            parts = [part.strip() for part in line.split(",")]
            if len(parts) == 3 and parts[2].isdecimal():
                name = f"{parts[0]}: {parts[1]}"
                self.peak[name] = max(self.peak.get(name, 0), int(parts[2]) << 20)
