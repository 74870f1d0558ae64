"""Cut the connection to a remote at random bytes, again and again, and check each time that nothing is lost.

    python tests/crash/cuts.py --cuts 500 --place s3 --seed 1 [--patience 2]

One person commits and pushes, another one fetches and clones, through a proxy that does harm after a random number of
bytes: the connection breaks once ("cut"); it breaks and the server is gone for a while ("gone"); dsvc is killed at that
moment ("kill"); a bit of a byte is turned ("flip"); bytes come in another order ("swap"); nothing is answered for a
while ("hang"). What the network does to a command once, it must survive by itself. After the other harms the same
command is run again, which must succeed and send again at most one part a worker (after a wrong byte: a pack). Then
fsck must find nothing on both sides, and both must have the same.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from dsvc.actions.fsck import check
from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
from dsvc.remotes.transfer.gathered import GatheredBackend
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import Answer, CommandLine
from tests.servers.seaweed import Seaweed
from tests.servers.sshd import DSVC, Sshd
from tests.servers.tcp_proxy import TcpProxy

ROOT = Path(__file__).parent.parent.parent
MIB = 1 << 20
PART = {"s3": 5 * MIB, "ssh": 4 * MIB}  # bytes under way at once in one upload of a worker
FETCHED = 8 * MIB  # bytes of one request of a fetch
TALK = 400_000  # bytes that are no content: heads of requests, indexes, a handshake
HARMS = ("cut", "cut", "gone", "gone", "kill", "kill", "flip", "swap", "hang")
ALTERED = ("flip", "swap")  # bytes, or their order
VERBS = ("push", "push", "fetch", "clone", "gc --remote")
ROUND = 12  # commands until everything begins anew, so that repositories stay small


class LostError(AssertionError):
    """Something was lost, or does not fit."""


@dataclass
class Place:
    """Where the remote is; `fsck` looks at it from behind, not through the proxy."""

    kind: str
    proxy: TcpProxy
    environment: dict[str, str]
    folder: Path
    server: Seaweed | Sshd
    bucket: str = ""
    number: int = 0
    patience: float = 2.0  # seconds until no answer counts as none: more where the machine is busy

    def renew(self) -> None:
        """Begin with an empty place."""
        self.number += 1
        if isinstance(self.server, Seaweed):
            self.bucket = self.server.bucket()

    @property
    def address(self) -> str:
        if self.kind == "s3":
            return f"s3://{self.bucket}/project"
        return f"ssh://far{self.folder}/far-{self.number}"

    @property
    def options(self) -> dict[str, str]:
        """Settings of the remote, with little patience for a server that is gone."""
        if self.kind == "s3":
            patience = f"{self.patience:g}"
            return {"partSize": str(5 * MIB), "parallelParts": "1", "attempts": "3", "readTimeout": patience}
        return {"command": DSVC, "attempts": "2"}

    @contextlib.contextmanager
    def opened(self) -> Iterator[Repository]:
        staging = self.folder / "staging"
        staging.mkdir(exist_ok=True)
        with contextlib.ExitStack() as ends:
            backend: Any
            if isinstance(self.server, Seaweed):
                bucket = open_s3(S3Settings(self.bucket, "project"), environment=self.server.environment)
                ends.callback(bucket.close)
                backend = GatheredBackend(bucket, self.folder / "gathered", jobs=4)
            else:
                backend = LocalBackend(self.folder / f"far-{self.number}")
            ends.callback(backend.close)
            yield Repository.open(backend, lambda: staging, far=True)

    def fsck(self) -> str | None:
        """Check the remote; return the id of its branch, or None where there is no repository yet."""
        from dsvc.errors import NotARepositoryError

        try:
            with self.opened() as repo:
                damage = check(repo).damage
                if damage:
                    raise LostError(f"the remote is damaged: {damage[0].message}")
                commit = repo.view().commit("heads/main")
                return commit.hex() if commit is not None else None
        except NotARepositoryError:
            return None


@dataclass
class Cutter:
    """Runs and cuts; the same seed gives the same commands and harms."""

    place: Place
    folder: Path
    seed: int
    cuts: int = 0
    missed: int = 0
    again: int = 0
    most_again: dict[str, int] = field(default_factory=dict)
    by_harm: collections.Counter[str] = field(default_factory=collections.Counter)
    verbose: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.writer = self.reader = self.person("nobody")
        self.harm = ""
        self.step = 0
        self.clock = 0

    def person(self, name: str) -> CommandLine:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return CommandLine(folder, {**self.place.environment, "DSVC_USER_NAME": name, "DSVC_USER_EMAIL": "a@b.example"})

    def run(self, cuts: int) -> None:
        verbs: list[str] = []
        while self.cuts < cuts:
            if self.step % ROUND == 0:
                self.begin()
            self.step += 1
            if not verbs:
                verbs = self.random.sample(VERBS, len(VERBS))  # even a short run has each of them
            verb = verbs.pop()
            large = self.random.random() < 0.3 and verb != "gc --remote"
            self.commit(large=large)
            if verb == "push":
                self.try_push(large=large)
            elif verb == "gc --remote":
                self.try_gc()
            else:
                self.writer.ok("push", "-q")
                (self.try_fetch if verb == "fetch" else self.try_clone)()

    def begin(self) -> None:
        """Start with an empty place, and clones of it."""
        self.heal()
        shutil.rmtree(self.folder / "people", ignore_errors=True)
        self.place.renew()
        self.writer = self.person("people/writer")
        self.writer.ok("init", "-q")
        self.writer.ok("remote", "add", "origin", self.place.address)
        self.settle(self.writer)
        self.commit(large=False)
        self.writer.ok("push", "-q")
        self.reader = self.person("people/reader")
        self.reader.ok("init", "-q")
        self.reader.ok("remote", "add", "origin", self.place.address)
        self.settle(self.reader)
        self.reader.ok("pull", "-q", "origin", "main")

    def settle(self, person: CommandLine) -> None:
        for key, value in self.place.options.items():
            person.ok("config", f"remote.origin.{key}", value)

    def commit(self, *, large: bool) -> None:
        """Change small files, add one that does not compress."""
        self.clock += 1
        self.writer.environment["DSVC_DATE"] = f"2026-01-01T00:00:00+{self.clock // 60 % 24:02}:{self.clock % 60:02}"
        for _ in range(20):
            name = self.writer.directory / f"d{self.random.randrange(8)}" / f"f{self.random.randrange(200)}"
            name.parent.mkdir(exist_ok=True)
            name.write_bytes(self.random.randbytes(self.random.randrange(3000)))
        size = self.random.randrange(11 * MIB, 16 * MIB) if large else self.random.randrange(10_000, 2 * MIB)
        (self.writer.directory / f"big{self.clock % 4}").write_bytes(self.random.randbytes(size))
        self.writer.ok("commit", "-q", "-m", f"commit {self.clock}")

    # One command that is harmed.

    def try_push(self, *, large: bool) -> None:
        proxy = self.place.proxy
        before = self.place.fsck()
        wanted = self.head(self.writer, "HEAD")
        stored = self.stored()
        up = proxy.up
        self.harmed("push", self.writer, ("push", "--jobs", "1"), around=13 * MIB if large else MIB)
        self.note("push", proxy.up - up - (self.stored() - stored), 2 * PART[self.place.kind])
        self.expect(self.place.fsck() == wanted != before, "the remote has what was pushed")
        self.expect_whole(self.writer, "the writer's clone")

    def try_fetch(self) -> None:
        proxy = self.place.proxy
        behind = self.lacking()
        down = proxy.down
        self.harmed("fetch", self.reader, ("fetch", "--jobs", "1"), around=behind)
        self.note("fetch", proxy.down - down - behind, FETCHED)
        self.expect(self.head(self.reader, "origin/main") == self.head(self.writer, "HEAD"), "all was fetched")
        self.reader.ok("merge", "-q", "origin/main")
        self.expect(self.reader.ok("status", "--porcelain").out == "", "the files are there")
        self.expect_whole(self.reader, "the reader's clone")

    def try_clone(self) -> None:
        proxy = self.place.proxy
        person = self.person("people/visitor")
        target = person.directory / "project"
        size = self.stored()
        down = proxy.down
        options = [word for key, value in self.place.options.items() for word in ("-c", f"remote.origin.{key}={value}")]
        words = (*options, "clone", "--jobs", "1", self.place.address, "project")
        self.harmed("clone", person, words, around=size)
        self.note("clone", proxy.down - down - size, FETCHED)
        clone = CommandLine(target, person.environment)
        self.expect(self.head(clone, "HEAD") == self.head(self.writer, "HEAD"), "all was cloned")
        self.expect(clone.ok("status", "--porcelain").out == "", "the files are there")
        self.expect_whole(clone, "the new clone")
        shutil.rmtree(person.directory)

    def try_gc(self) -> None:
        """Drop a branch there and collect what only it reached; nobody loses anything else."""
        name = f"side{self.clock}"
        self.writer.ok("switch", "-q", "-c", name)
        self.commit(large=False)
        self.writer.ok("push", "-q", "origin", "main", name)
        self.writer.ok("switch", "-q", "main")
        self.writer.ok("push", "-q", "--delete", "origin", name)
        words = ("gc", "--remote", "origin", *self.random.choice((("--grace", "0"), ("--prune", "now"))))
        self.harmed("gc", self.writer, words, around=200_000)
        self.expect(self.place.fsck() == self.head(self.writer, "main"), "the remote has what it had")
        self.expect_whole(self.writer, "the writer's clone")
        self.reader.ok("pull", "-q")
        self.expect_whole(self.reader, "the reader's clone")

    def harmed(self, verb: str, person: CommandLine, words: tuple[str, ...], *, around: int) -> None:
        """Run a command while the proxy does harm, and again until it has succeeded."""
        harm = self.harm = self.random.choice(HARMS)
        if harm == "hang" and self.place.kind == "ssh":
            harm = "cut"  # a minute of silence is nothing to ssh
        after = self.random.randrange(around + 50_000) if self.random.random() < 0.7 else self.random.randrange(40_000)
        proxy = self.place.proxy
        where = f"step {self.step}: {verb}, {harm} after {after} bytes"
        cuts = proxy.cuts
        killed = threading.Event()
        timer: threading.Timer | None = None
        process: subprocess.Popen[bytes] | None = None
        if harm == "flip":
            proxy.corrupt_after(after, way="up" if verb == "push" else "down")
        elif harm == "swap":
            proxy.reorder_after(after, way="up" if verb == "push" else "down")
        elif harm == "hang":
            timer = threading.Timer(2 * self.place.patience, proxy.heal)

            def fall_silent() -> None:
                proxy.stop_answering()
                timer.start()

            proxy.cut_after(after, then=fall_silent)
        elif harm == "kill":

            def kill() -> None:
                killed.set()
                if process is not None:
                    process.kill()

            proxy.cut_after(after, then=kill)
        else:
            proxy.cut_after(after, refuse=harm == "gone")
        if harm == "kill":
            command = [sys.executable, "-m", "dsvc", *words]
            environment = person.environment | {"PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(
                command, cwd=person.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            if killed.is_set():
                process.kill()
            out, err = process.communicate()
            answer = Answer(process.returncode, out, err.decode(errors="replace"))
        else:
            answer = person(*words)
        if timer is not None:
            timer.cancel()
        struck = killed.is_set() or proxy.cuts > cuts or (harm in ALTERED and proxy.harm_is_done)
        self.heal()
        self.cuts += struck
        self.missed += not struck
        if struck:
            self.by_harm[f"{verb} {harm}"] += 1
        if self.verbose:
            said = answer.err.strip()[:160]
            print(f"{where}: {'' if struck else 'not reached, '}exit code {answer.code} {said!r}", flush=True)
        allowed = {"cut": (0, 11), "hang": (0, 11, 14), "gone": (0, 11, 14), "flip": (0, 11, 14, 15)}
        allowed["swap"] = allowed["flip"]
        if harm == "kill":
            self.expect(answer.code in (0, -signal.SIGKILL), f"{where}: {answer.err}")
        else:
            self.expect(answer.code in (allowed[harm] if struck else (0,)), f"{where}: {answer.code} {answer.err}")
        if answer.code != 0:
            self.again += 1
            repeated = person(*words)
            self.expect(repeated.code == 0, f"{where}, then once more: exit code {repeated.code}\n{repeated.err}")

    # What is looked at.

    def head(self, person: CommandLine, name: str) -> str:
        answer = person("rev-parse", name)
        return answer.out.strip() if answer.code == 0 else ""

    def stored(self) -> int:
        """Bytes of the packs that the remote lists."""
        with self.place.opened() as repo:
            return sum(ref.size for ref in repo.head.packs.packs)

    def lacking(self) -> int:
        """The bytes that the reader's next fetch will take: a copy of the clone finds it out."""
        probe = self.folder / "people" / "probe"
        shutil.rmtree(probe, ignore_errors=True)
        shutil.copytree(self.reader.directory, probe, symlinks=True)
        fetched = CommandLine(probe, self.reader.environment).ok("fetch", "--json").json
        shutil.rmtree(probe)
        return sum(one["bytes"] for one in fetched["fetched"])

    def note(self, verb: str, more: int, bound: int) -> None:
        """Remember how much passed beyond what had to, and refuse more than a part and talk.

        A pack that came with a wrong byte is asked for anew as a whole, and while nothing is answered the same is asked
        for by each attempt.
        """
        if self.harm in (*ALTERED, "hang"):
            return
        self.most_again[verb] = max(self.most_again.get(verb, 0), more)
        self.expect(more <= bound + TALK, f"step {self.step}: {verb}: {more} bytes passed twice, {bound} may")

    def heal(self) -> None:
        self.place.proxy.heal()

    def expect_whole(self, person: CommandLine, what: str) -> None:
        answer = person("fsck")
        self.expect(answer.code == 0, f"{what} is whole: {answer.err}")

    def expect(self, condition: bool, what: str) -> None:
        if not condition:
            raise LostError(what)


@contextlib.contextmanager
def behind_a_proxy(kind: str, server: Seaweed | Sshd, folder: Path) -> Iterator[Place]:
    """A place on a server that runs, reached through a proxy only."""
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    with TcpProxy(server.port).running() as proxy:
        if isinstance(server, Seaweed):
            environment |= server.environment | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{proxy.port}"}
        else:
            known = folder / "known_hosts"
            known.write_text("far " + server.known_hosts.read_text().split(" ", 1)[1])
            environment["DSVC_SSH_COMMAND"] = (
                f"ssh -o Port={proxy.port} -o HostKeyAlias=far -o UserKnownHostsFile={known} -F {server.config}"
            )
        yield Place(kind, proxy, environment, folder, server)


@contextlib.contextmanager
def started(kind: str, folder: Path) -> Iterator[Seaweed | Sshd]:
    if kind == "s3":
        from tests.servers.seaweed import program

        weed = Seaweed(program("weed"), folder)
        weed.start()
        try:
            yield weed
        finally:
            weed.kill()
    else:
        from tests.servers.sshd import start_sshd, stop_sshd

        server, process = start_sshd(folder)
        try:
            yield server
        finally:
            stop_sshd(process)


def main() -> int:
    parser = argparse.ArgumentParser(description="Cut connections at random bytes and check that nothing is lost.")
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--place", choices=["s3", "ssh"], default="s3")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--patience", type=float, default=2, help="seconds to wait for an answer")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dsvc-cuts-"))
    print(f"seed {arguments.seed} in {folder}", flush=True)
    (folder / "server").mkdir()
    with started(arguments.place, folder / "server") as server, behind_a_proxy(
        arguments.place, server, folder
    ) as place:
        place.patience = arguments.patience
        cutter = Cutter(place, folder, arguments.seed, verbose=arguments.verbose)
        try:
            cutter.run(arguments.cuts)
        except AssertionError as error:
            print(f"after {cutter.cuts} cuts: {error}", file=sys.stderr)
            print(f"everything is left in {folder}", file=sys.stderr)
            return 1
    shutil.rmtree(folder)
    harms = ", ".join(f"{harm} {count}" for harm, count in sorted(cutter.by_harm.items()))
    print(f"{cutter.cuts} cuts ({harms}); {cutter.missed} commands were done before")
    most = ", ".join(f"{verb} {size:,}" for verb, size in sorted(cutter.most_again.items()))
    print(f"{cutter.again} commands were run once more; bytes beyond those needed, at most: {most}; nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
