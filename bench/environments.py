"""Measure what recording an environment costs: the first time, and when nothing was installed since.

    python bench/environments.py INTERPRETER [RUNS]

Wall seconds and CPU seconds (of this process and those it starts), the least of RUNS runs, beside `pip freeze` and
`pip inspect` of the same interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from dsvc.environments import encode_environment, lock
from dsvc.objects.store import ObjectStore
from dsvc.storage.memory import MemoryBackend


def least(runs: int, work: Callable[[], object]) -> str:
    """Return the least wall and CPU seconds of some runs, as text."""
    wall, cpu = [], []
    for _ in range(runs):
        begun, before = time.perf_counter(), spent()
        work()
        wall.append(time.perf_counter() - begun)
        cpu.append(spent() - before)
    return f"{min(wall) * 1000:8.1f} ms wall {min(cpu) * 1000:8.1f} ms CPU"


def spent() -> float:
    """Return the CPU seconds of this process and of those it started and waited for."""
    usages = [getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Print the table."""
    interpreter, runs = Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = ObjectStore(MemoryBackend(), lambda: folder)

        def locked(*, fresh: bool = False) -> object:
            return lock(store, interpreter=interpreter, cache=folder, variables=os.environ, fresh=fresh)

        time.sleep(0.2)  # what was installed just now is settled then
        found = lock(store, interpreter=interpreter, cache=folder, variables=os.environ)
        environment = found.environment
        tell(
            f"{len(environment.distributions)} distributions, {len(environment.system.packages)} system packages, "
            f"{len(encode_environment(environment))} bytes"
        )
        tell(f"lock, all read anew    {least(runs, lambda: locked(fresh=True))}")
        tell(f"lock, nothing changed  {least(runs * 5, locked)}")
    tell(f"pip freeze             {least(runs, lambda: pip(interpreter, 'freeze'))}")
    tell(f"pip inspect            {least(runs, lambda: pip(interpreter, 'inspect'))}")


def pip(interpreter: Path, verb: str) -> None:
    """Let pip say what is installed."""
    subprocess.run([interpreter, "-m", "pip", verb], capture_output=True, check=True)


def tell(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


main()
