"""Run dsvc as a process of its own and say what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

DSVC = str(Path(sys.executable).with_name("dsvc"))


def run(folder: Path, environment: dict[str, str], *words: str) -> tuple[float, float, float]:
    """Run dsvc; return seconds, seconds of processor time and MiB."""
    began = time.perf_counter()
    with subprocess.Popen([DSVC, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"dsvc {' '.join(words)}: exit {process.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
