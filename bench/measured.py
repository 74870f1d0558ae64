"""Run dsvc as a process of its own and say what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

DSVC = str(Path(sys.executable).with_name("dsvc"))

# A process counts as its own memory what the one that started it held (Linux, until it runs its program): a bench that
# holds much would measure itself. So a small one stands between them.
_BETWEEN = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
os.write(int(sys.argv[1]), f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024}".encode())
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


def run(folder: Path, environment: dict[str, str], *words: str) -> tuple[float, float, float]:
    """Run dsvc; return seconds, seconds of processor time and MiB. The seconds include the start of a bare Python."""
    read, write = os.pipe()
    began = time.perf_counter()
    between = [sys.executable, "-I", "-S", "-c", _BETWEEN, str(write), DSVC, *words]
    found = subprocess.run(between, cwd=folder, env=environment, pass_fds=(write,), check=False)
    took = time.perf_counter() - began
    os.close(write)
    with os.fdopen(read) as told:
        said = told.read().split()
    if found.returncode or len(said) != 2:
        raise SystemExit(f"dsvc {' '.join(words)}: exit {found.returncode}")
    return took, float(said[0]), float(said[1])
