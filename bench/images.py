"""Measure what the image of a second version costs: here, at an engine, and on the way to a registry.

    python -m bench.images [--weights MIB] [--runs N]

A model of some MiB that do not compress, trained in an environment with scikit-learn; Debian's dockerd and
docker-registry are started for it and ended. Bytes at the registry are what its folder grew by. The same model layer is
also built by the engine, with `FROM` the layers below and one `COPY`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measured import DSVC, run
from tests.images.bases import python_members, write_base
from tests.servers.docker_engine import running_engine
from tests.servers.oci_registry import start_registry

TRAIN = """
import os, sys
import sklearn
os.makedirs("model", exist_ok=True)
with open("model/weights.bin", "wb") as file:
    for _ in range(int(sys.argv[1])):
        file.write(os.urandom(1 << 20))
open("model/predictor.py", "w").write("def predict(rows: list) -> list:\\n    return [sum(row) for row in rows]\\n")
"""


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsvc-bench-") as name, running_engine() as engine:
        top = Path(name)
        (top / "registry").mkdir()
        registry, process = start_registry(top / "registry")
        try:
            measure(top, engine, registry.host, weights=options.weights, runs=options.runs)
        finally:
            process.terminate()
            process.wait(10)


def measure(top: Path, engine: str, registry: str, *, weights: int, runs: int) -> None:
    """Train versions, build and push them, and print what each step took."""
    project = top / "project"
    (top / "home").mkdir()
    project.mkdir()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(top / "home"), "DOCKER_HOST": engine,
        "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "ada@example.com",
    }  # fmt: skip
    base = write_base(top / "base", python_members())
    subprocess.run([sys.executable, "-m", "venv", top / "venv"], check=True)
    python = top / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "scikit-learn"], check=True)
    environment["VIRTUAL_ENV"] = str(top / "venv")

    def dsvc(*words: str) -> tuple[float, float]:
        wall, processor, _ = run(project, environment, *words)
        return wall, processor

    def train() -> None:
        dsvc("run", "-q", "--", str(python), "train.py", str(weights))
        dsvc("commit", "-qm", "trained")
        dsvc("model", "add", "churn", "model")

    def docker(*words: str) -> None:
        subprocess.run(["docker", *words], env=environment, check=True, capture_output=True, cwd=project)

    dsvc("init", "-q")
    (project / "train.py").write_text(TRAIN)
    dsvc("commit", "-qm", "code")
    train()
    data = top / "registry" / "data"
    cold = dsvc("build", "-q", "churn", "--base", str(base))
    dsvc("build", "-q", "churn", "--base", str(base), "--push", f"{registry}/bench")
    first = size_of(data)
    dsvc("build", "-q", "churn", "--base", str(base), "--output", str(top / "image.tar"))
    load_first = timed(lambda: docker("load", "-q", "-i", str(top / "image.tar")))
    say(f"build, everything made: {cold[0]:.2f} s, {cold[1]:.2f} s of a processor; docker load {load_first:.2f} s")
    say(f"push: {first / 1e6:.1f} MB at the registry")
    (project / "Dockerfile").write_text("FROM churn:1\nCOPY model /model\n")
    (project / ".dockerignore").write_text("*\n!model\n")
    for number in range(runs):
        train()
        wall, processor = dsvc("build", "-q", "churn", "--base", str(base))
        before = size_of(data)
        pushed = dsvc("build", "-q", "churn", "--base", str(base), "--push", f"{registry}/bench")
        grown = size_of(data) - before
        dsvc("build", "-q", "churn", "--base", str(base), "--output", str(top / "image.tar"))
        loaded = timed(lambda: docker("load", "-q", "-i", str(top / "image.tar")))
        built = timed(lambda number=number: docker("build", "-q", "-t", f"other:{number}", "."))
        say(
            f"version {number + 2}: build {wall:.2f} s, {processor:.2f} s of a processor; docker load {loaded:.2f} s;"
            f" the engine's own COPY {built:.2f} s; push {pushed[0]:.2f} s, {grown / 1e6:.2f} MB at the registry"
        )
    model = size_of(project / "model")
    say(f"the files of the model: {model / 1e6:.2f} MB; {DSVC}; load {os.getloadavg()[0]:.1f}")
    shutil.rmtree(project / ".dsvc" / "cache")


if __name__ == "__main__":
    main()
