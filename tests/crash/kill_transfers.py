"""Kill pushes, fetches and clones at random moments, again and again, and check each time that nothing is lost.

    python tests/crash/kill_transfers.py --kills 200 --seed 1

Two people work on clones of one hub. Every transfer is killed after a random part of the time that it takes, or not at
all. Afterwards both sides pass fsck, the refs of the hub are those from before or those that were pushed, and the same
command again succeeds. Now and then garbage is collected in the hub, with no grace, before anybody looks.
"""

from __future__ import annotations

import argparse
import collections
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mortal import Answer, Project

from dsvc.actions.fsck import check
from dsvc.actions.gc import collect
from dsvc.objects import trees
from dsvc.objects.tree import EntryKind
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

TRANSFERS = ("push -q origin HEAD", "push -q origin HEAD", "push -q --all origin", "fetch -q", "pull -q", "clone")


@dataclass
class Killer:
    """Two people in `base`; the same seed gives the same edits and commands, the moments differ."""

    base: Path
    seed: int
    kills: int = 0
    finished: int = 0
    by_verb: collections.Counter[str] = field(default_factory=collections.Counter)
    durations: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.base.mkdir(exist_ok=True)
        self.people = [Project(self.base / "ada"), Project(self.base / "bob")]
        self.number = 0

    def begin(self) -> None:
        ada, bob = self.people
        ada.folder.mkdir()
        ada.ok("init", "-q")
        self.edit(ada)
        ada.ok("commit", "-qm", "first")
        ada.ok("remote", "add", "-q", "origin", str(self.base / "hub"))
        ada.ok("push", "-q")
        Project(self.base, home=self.base / "home").ok("clone", "-q", "hub", str(bob.folder))

    def run(self, kills: int) -> None:
        while self.kills < kills:
            self.step()

    def edit(self, person: Project) -> None:
        for _ in range(self.random.randrange(1, 4)):
            name = self.random.choice(("a", "b/c", "b/d", "big"))
            path = person.folder / f"{person.folder.name}-{name}"
            path.parent.mkdir(exist_ok=True)
            size = 2_000_000 if name == "big" else self.random.choice((0, 10, 5000))
            path.write_bytes(self.random.randbytes(size))

    def step(self) -> None:
        self.number += 1
        person = self.random.choice(self.people)
        for each in self.people:
            each.clock += 60
        self.edit(person)
        person.ok("commit", "-q", "--allow-empty", "-m", f"number {self.number}")
        if self.random.random() < 0.2:
            person.ok("branch", f"{person.folder.name}{self.number}")
        command = self.random.choice(TRANSFERS)
        words = tuple(command.split())
        where: Project = person
        if command == "clone":
            where = Project(self.base, person.clock, self.base / "home")
            words = ("clone", "-q", "hub", "new")
        before = self.refs()
        wanted = {name: person.ok("rev-parse", name).strip() for name in self.branches(person)}
        started = time.monotonic()
        answer, killed = where.try_to_run(words, after=self.random.triangular(0, self.longest(words[0]), 0.08))
        self.durations[words[0]] = max(self.durations.get(words[0], 0), time.monotonic() - started)
        if answer is not None and answer.code not in (0, 12, 13):
            raise AssertionError(f"dsvc {command}: exit code {answer.code}\n{answer.err}")
        if self.random.random() < 0.3:
            self.collect()
        self.check_whole(command)
        now = self.refs()
        for name, commit in now.items():
            assert commit in (before.get(name), wanted.get(name)), f"dsvc {command}: {name} is something else now"
        assert before.keys() <= now.keys(), f"dsvc {command}: a branch of the hub is gone"
        self.settle(person, words[0], where.run(*words))
        self.check_whole(f"{command}, again")
        self.kills += killed
        self.finished += not killed
        self.by_verb[words[0]] += killed

    def longest(self, verb: str) -> float:
        return min(self.durations.get(verb, 0.4), 0.6)

    def settle(self, person: Project, verb: str, answer: Answer) -> None:
        """The command ran a second time: what it could not do for what others have done is done by hand."""
        if verb == "clone":
            assert answer.code == 0 or "is not an empty folder" in answer.err, answer.err
            status = Project(self.base / "new", person.clock, self.base / "home").ok("status", "--porcelain")
            assert status == "", status
            shutil.rmtree(self.base / "new")
        elif answer.code == 12:
            person.ok("pull", "-q")
            person.ok("push", "-q")
        else:
            assert answer.code == 0, answer.err

    def branches(self, person: Project) -> list[str]:
        return person.ok("branch", "--format=%(refname:short)").split()

    def refs(self) -> dict[str, str]:
        def work() -> dict[str, str]:
            view = self.open(self.base / "hub").view()
            return {n.removeprefix("heads/"): r.id.hex() for n, r in view.items("heads/") if isinstance(r, Direct)}

        found: dict[str, str] = self.people[0].inside(work)
        return found

    @staticmethod
    def open(root: Path) -> Repository:
        backend = LocalBackend(root)
        return Repository.open(backend, backend.staging)

    def collect(self) -> None:
        def work() -> bool:
            later = (self.people[0].clock + 3600) * 1_000_000
            collect(self.open(self.base / "hub"), now=later, grace=0, prune_all=True)
            return True

        self.people[0].inside(work)

    def check_whole(self, where: str) -> None:
        """Nothing is damaged, and every file of every branch of the hub can be read."""

        def work() -> list[str]:
            found = []
            for root in (self.base / "hub", *(person.folder / ".dsvc" / "store" for person in self.people)):
                repo = self.open(root)
                found += [f"{root}: {damage.message}" for damage in check(repo).damage]
                for _, ref in repo.view().items("heads/"):
                    assert isinstance(ref, Direct)
                    for _, entry in trees.walk(repo.store, repo.commit(ref.id).tree):
                        if entry.kind == EntryKind.FILE:
                            repo.store.read_file(entry.id)
            return found

        damage = self.people[0].inside(work)
        assert damage == [], f"dsvc {where}: {damage}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill transfers at random moments and check that nothing is lost.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dsvc-kill-"))
    killer = Killer(folder / "people", arguments.seed)
    print(f"seed {arguments.seed} in {folder}")
    try:
        killer.begin()
        killer.run(arguments.kills)
    except AssertionError as error:
        print(f"after {killer.kills} kills: {error}", file=sys.stderr)
        print(f"the people are left in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    verbs = ", ".join(f"{verb} {count}" for verb, count in killer.by_verb.most_common())
    print(f"{killer.kills} kills ({verbs}); {killer.finished} commands were faster; nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
