"""Let many writers push to one remote at the same moment, each call to which takes as long as over a long line.

    python bench/contention.py [--writers 200] [--round-trip 50] [--runs-there 10000] [--warm]
                               [--what runs|branches|one-branch]

The remote is a folder behind a wrapper that waits so many milliseconds before each call, as a bucket far away does, and
counts them. Each writer is a process with a clone of its own, forked from one that has everything imported, and what is
timed begins when all are ready: opening the remote, finding out what it lacks, sending, publishing. Prints a row of a
Markdown table, and what attempts cost.
"""

# ruff: noqa: T201 -- a script that prints

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from dsvc.actions import remote_access
from dsvc.objects import codec
from dsvc.objects.ids import Kind
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.remotes.opening import Place
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import Answer, CommandLine

FORK = multiprocessing.get_context("fork")


class Line:
    """A backend far away."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self.inner, self.seconds = inner, seconds
        self.calls: dict[str, int] = {}
        self.sent = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in ("get", "put", "missing", "list", "delete", "read_cell", "swap_cell"):
            return found

        def call(*words: Any, **named: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            if name in ("put", "swap_cell"):
                source = words[-1]
                self.sent += len(source) if isinstance(source, bytes) else source.stat().st_size
            time.sleep(self.seconds / 2)
            answer = found(*words, **named)
            time.sleep(self.seconds / 2)
            return answer

        return call


def add_runs(folder: Path, names: list[str]) -> None:
    """Record runs with these names."""
    backend = LocalBackend(folder / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    transaction = repo.transaction()
    for name in names:
        ref = Direct(Kind.RUN, repo.store.put(Kind.RUN, codec.encode({"name": name, "refs": []})))
        transaction.set(f"runs/{name}", ref)
    repo.publish(transaction, Act("run", "run", "ada", "box", "main", time=1, zone=0))
    repo.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=200)
    parser.add_argument("--round-trip", type=float, default=50, help="milliseconds")
    parser.add_argument("--runs-there", type=int, default=10_000)
    parser.add_argument("--what", choices=("runs", "branches", "one-branch"), default="runs")
    parser.add_argument("--warm", action="store_true", help="each writer's clone pushed a run before, over the line")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="dsvc-contention-"))
    try:
        measure(base, arguments)
    finally:
        shutil.rmtree(base)


def measure(base: Path, arguments: argparse.Namespace) -> None:
    """Make the clones, let all push, and print what came of it."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(base), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
    environment |= {"DSVC_USER_NAME": "w", "DSVC_USER_EMAIL": "w@example.com"}
    first = CommandLine(base / "first", environment)
    first.directory.mkdir()
    first.ok("init", "-q")
    (first.directory / "a").write_text("a\n")
    first.ok("commit", "-q", "-m", "first")
    first.ok("config", "remote.origin.url", str(base / "hub"))
    add_runs(first.directory, [f"there-{number:08}" for number in range(arguments.runs_there)])
    first.ok("push", "-q")
    names = [f"w{number}" for number in range(arguments.writers)]
    for name in names:
        shutil.copytree(first.directory, base / name)
        if arguments.what == "runs" and not arguments.warm:
            add_runs(base / name, [f"new-{name}"])
        elif arguments.what != "runs":
            if arguments.what == "branches":
                CommandLine(base / name, environment).ok("switch", "-q", "-c", name)
            (base / name / name).write_text(name)
            CommandLine(base / name, environment).ok("commit", "-q", "-m", name)
    open_place = remote_access.open_place
    lines: list[Line] = []

    def far(*words: Any, **named: Any) -> Place:
        place = open_place(*words, **named)
        lines.append(Line(place.backend, arguments.round_trip / 1000))
        return Place(lines[-1], place.staging)  # type: ignore[arg-type]

    remote_access.open_place = far
    if arguments.warm:
        for name in names:
            add_runs(base / name, [f"before-{name}"])
            earlier = FORK.Process(target=lambda name=name: CommandLine(base / name, environment).ok("push", "-q"))
            earlier.start()
            earlier.join()
            add_runs(base / name, [f"new-{name}"])
    answers = FORK.SimpleQueue()
    start = FORK.Barrier(len(names) + 1)

    def write(name: str) -> None:
        person = CommandLine(base / name, environment)
        start.wait(600)
        began = time.monotonic()
        answer: Answer = person("push", "-q")
        calls = dict(lines[0].calls) if lines else {}
        answers.put((name, answer.code, answer.err, time.monotonic() - began, calls, lines[0].sent if lines else 0))

    processes = [FORK.Process(target=write, args=(name,)) for name in names]
    for process in processes:
        process.start()
    start.wait(600)
    began = time.monotonic()
    found = [answers.get() for _ in names]
    took = time.monotonic() - began
    for process in processes:
        process.join()
    remote_access.open_place = open_place
    failed = [row for row in found if row[1]]
    if arguments.what == "one-branch":  # one lands, the others have to pull
        failed = [row for row in failed if row[1] != 12]
    repo = Repository.open(LocalBackend(base / "hub"), lambda: base, far=True)
    prefix = "runs/new-" if arguments.what == "runs" else "heads/w"
    landed = sum(1 for _ in repo.view().items(prefix)) if arguments.what != "one-branch" else len(found) - len(failed)
    said = sum(1 for row in found if row[1] == 12)
    swaps = sum(row[4].get("swap_cell", 0) for row in found)
    puts, calls = sum(row[4].get("put", 0) for row in found), sum(sum(row[4].values()) for row in found)
    busy = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"| {arguments.writers} writers of {arguments.what}, {arguments.round_trip:.0f} ms | {took:.1f} s | "
        f"{busy.ru_utime + busy.ru_stime:.0f} s | {landed - said} landed, {said} told to pull, {len(failed)} failed | "
        f"{swaps} swaps, {puts} puts, {calls} calls | "
        f"{sum(row[5] for row in found) / arguments.writers / 1000:.0f} kB a writer | "
        f"{len(repo.head.packs.packs)} packs listed, {sum(1 for _ in repo.backend.list('packs/'))} there |"
    )
    kinds = sorted({kind for row in found for kind in row[4]})
    print({kind: sum(row[4].get(kind, 0) for row in found) for kind in kinds})
    for row in failed[:3]:
        print(row)


if __name__ == "__main__":
    main()
