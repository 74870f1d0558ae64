"""Measure deciding what to push to a bucket that took ten thousand pushes.

    python bench/pushed_often.py [--pushes 10000] [--objects 100] [--base FOLDER] [--keep]

Makes a remote in a folder through the library, by so many pushes of several branches, each of so many new objects;
after a tenth of them somebody clones it, and is not there for the rest. Then the remote is copied into a bucket of
SeaweedFS, and that person pushes one commit: with the cache of a command before, and with an empty one. A proxy counts
requests. "Deciding" are those before the first one that sends something. Each command is a new process. Markdown rows.
"""

# ruff: noqa: T201, S311 -- a script that prints, and makes data

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measured import run

sys.path.insert(0, str(Path(__file__).parent.parent))

from dsvc.objects import trees
from dsvc.objects.ids import Kind
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.names import HEADS, head_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed, program

BRANCHES = 20


def act(number: int) -> Act:
    """Who pushed: somebody, a second later each time."""
    return Act("push", "push", "ada", "box", "main", time=number * 1_000_000, zone=0)


class Pusher:
    """Pushes to a far repository through the library."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.backend = LocalBackend(folder)
        refs = {head_of("main"): Symbolic(f"{HEADS}b0")}
        if self.backend.read_cell("head") is None:
            Repository.create(self.backend, self.backend.staging, act=act(0), refs=dict(refs), far=True).close()
        self.repo = Repository.open(self.backend, self.backend.staging, far=True)

    def push(self, number: int, objects: int) -> None:
        """Add a commit with new files to one of the branches."""
        draw = random.Random(number)
        repo, store = self.repo, self.repo.store
        name = f"{HEADS}b{number % BRANCHES if number > BRANCHES else 0}"
        transaction = repo.transaction()
        before = transaction.view.commit(name) or transaction.view.commit(f"{HEADS}b0")
        tree = repo.commit(before).tree if before is not None else trees.empty_tree(store)
        folder = b"d%d/" % (number % 500)
        changes = {}
        for file in range(max(1, objects - 6)):
            data = draw.randbytes(40)
            changes[folder + b"%d-%d" % (number, file)] = Entry(EntryKind.FILE, store.put_content(data), len(data))
        tree = trees.edit_tree(store, tree, changes).id
        person = Person("Ada", "", number * 1_000_000)
        made = repo.put_commit(Commit(tree, (before,) if before else (), person, person, str(number)))
        transaction.set(name, Direct(Kind.COMMIT, made))
        repo.publish(transaction, act(number))


def main() -> None:
    """Make the remote and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=10_000)
    parser.add_argument("--objects", type=int, default=100, help="that each push adds")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    base = arguments.base or Path(tempfile.mkdtemp(prefix="dsvc-pushed-often-"))
    try:
        measure(base, arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(base)


def measure(base: Path, arguments: argparse.Namespace) -> None:
    """Make what is missing below `base`, then push."""
    hub, clone = base / "hub", base / "clone"
    home = {"PATH": os.environ["PATH"], "HOME": str(base), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
    home |= {"DSVC_USER_NAME": "Bo", "DSVC_USER_EMAIL": "bo@example.com"}
    if not (base / "made").exists():
        pusher, began = Pusher(hub), time.monotonic()
        for number in range(1, arguments.pushes + 1):
            pusher.push(number, arguments.objects)
            if number == arguments.pushes // 10:
                run(base, home, "clone", "-q", str(hub), str(clone))
            if number % 1000 == 0:
                print(f"{number} pushes, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        (base / "made").touch()
    repo = Repository.open(LocalBackend(hub), lambda: base, far=True)
    packs = repo.head.packs
    there = sum(ref.objects for ref in packs.packs)
    local = Repository.open(LocalBackend(clone / ".dsvc" / "store"), lambda: base)
    here = sum(ref.objects for ref in local.head.packs.packs)
    print(f"{there:,} objects there in {len(packs.packs):,} packs, {here:,} here; "
          f"{len(packs.segments)} segments, {len(packs.loose())} packs alone")  # fmt: skip
    made = base / f"weed-{os.getpid()}"
    made.mkdir()
    server = Seaweed(program("weed"), made)
    server.start()
    try:
        with Proxy(server.port).running() as proxy:
            push_to_bucket(server, proxy, hub, clone, home)
    finally:
        server.kill()
        shutil.rmtree(made, ignore_errors=True)


def push_to_bucket(server: Seaweed, proxy: Proxy, hub: Path, clone: Path, home: dict[str, str]) -> None:
    """Copy the remote into a bucket and push there."""
    source, bucket = LocalBackend(hub), server.bucket()
    target = open_s3(S3Settings(bucket, "project"), environment=server.environment)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: target.put(item[0], source.get(item[0])), source.list("")))
    for cell in ("format", "head"):
        target.swap_cell(cell, None, source.read_cell(cell) or b"")
    environment = {**home, **server.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
    run(clone, environment, "config", "remote.origin.url", f"s3://{bucket}/project")
    for what in ("cold", "warm", "warm", "cold", "warm"):
        if what == "cold":
            shutil.rmtree(clone / ".dsvc" / "cache" / "remotes", ignore_errors=True)
        (clone / "new").write_text(f"{time.time()}")
        run(clone, environment, "commit", "-q", "-m", "new")
        proxy.requests.clear()
        seconds, busy, memory = run(clone, environment, "push", "-q", "origin", "HEAD:mine")
        asked = next(n for n, request in enumerate(proxy.requests) if request.method in ("PUT", "POST"))
        size = sum(request.size for request in proxy.requests)
        print(
            f"| {what} | {asked} requests to decide, {len(proxy.requests)} in all | {size:,} bytes sent "
            f"| {seconds:.2f} s | {busy:.2f} s | {memory:.0f} MiB |",
            flush=True,
        )
    seconds, busy, _ = run(clone, environment, "status")
    print(f"| status, for comparison | | | {seconds:.2f} s | {busy:.2f} s | |")



if __name__ == "__main__":
    main()
