"""Kill dsvc at random moments, again and again, and check each time that nothing is lost.

    python tests/crash/kill.py --kills 200 --seed 1

Someone edits files, runs commands, and every command is killed after a random part of the time that it takes. Before
each, a copy of the project runs it to its end. Afterwards the next command must work; branches, files and status must
be those from before the command or those of the copy; fsck must find nothing; and every content that was in the working
copy or reachable must still be in one of the two. Now and then gc runs from elsewhere before anybody looks.
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

from mortal import Project, State, lost_contents

NAMES = ("a", "b", "c", "d/a", "d/b", "d/e/c", "new/x", "new/y", "big", "links/l")
COMMANDS = (
    "commit -qm message",
    "commit -qm message",
    "commit -qm message",
    "commit -q --amend -m amended",
    "commit -qm part d",
    "add .",
    "switch -q {other}",
    "switch -q {other}",
    "switch -qf {other}",
    "switch -q -c fresh{number}",
    "merge {other}",
    "merge -q {other}",
    "merge --abort",
    "restore .",
    "restore d",
    "restore --source {other} .",
    "reset -q --hard HEAD~1",
    "reset -q --hard {other}",
    "reset -q --soft HEAD~1",
    "undo",
    "undo",
    "redo",
    "stash -q",
    "stash pop",
    "rebase {other}",
    "rebase --abort",
    "cherry-pick {other}",
    "revert HEAD",
    "rm -rf d",
    "clean -fd",
    "branch -D {other}",
    "gc",
    "gc --prune=now",
)


class LostError(AssertionError):
    """Something was lost, or does not fit."""


@dataclass
class Killer:
    """Edits, runs and kills in `project`; the same seed gives the same edits and commands, the moments differ."""

    project: Project
    seed: int
    kills: int = 0
    finished: int = 0
    refused: int = 0
    old: int = 0
    new: int = 0
    by_verb: collections.Counter[str] = field(default_factory=collections.Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def begin(self) -> None:
        self.project.folder.mkdir()
        self.project.ok("init", "-q")
        for name in NAMES[:8]:
            self.write(name)
        self.project.ok("commit", "-qm", "first")
        self.project.ok("switch", "-q", "-c", "side")
        self.edit()
        self.project.ok("commit", "-qm", "second")

    def run(self, kills: int) -> None:
        while self.kills < kills:
            for _ in range(self.random.randrange(3)):
                self.edit()
            self.step()

    # What the user does.

    def write(self, name: str) -> None:
        path = self.project.folder / name
        for parent in reversed(path.relative_to(self.project.folder).parents[:-1]):
            folder = self.project.folder / parent
            if folder.is_symlink() or folder.is_file():
                folder.unlink()
            folder.mkdir(exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if name.startswith("links/"):
            path.symlink_to(f"target-{self.random.randrange(100)}")
        elif name == "big":
            path.write_bytes(self.random.randbytes(500_000))
        else:
            lines = [b"line %d\n" % n for n in range(30)]
            lines[self.random.randrange(30)] = b"%d\n" % self.random.randrange(10**9)
            path.write_bytes(b"".join(lines))

    def edit(self) -> None:
        name = self.random.choice(NAMES)
        path = self.project.folder / name
        choice = self.random.random()
        if choice < 0.12 and path.exists():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        elif choice < 0.18 and "/" in name:
            parent = self.project.folder / name.partition("/")[0]  # a file where a folder was
            if parent.is_dir():
                shutil.rmtree(parent)
            parent.write_bytes(b"%d" % self.random.randrange(10**9))
        elif choice < 0.22 and path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode ^ 0o111)
        else:
            self.write(name)

    # One command.

    def step(self) -> None:
        project = self.project
        project.clock += 60
        before = project.look(check=False)
        command = self.choose(before.state)
        words = tuple(command.split())
        copy = project.copy(project.folder.with_name("copy"))
        started = time.monotonic()
        answer = copy.run(*words)
        duration = time.monotonic() - started
        if answer.code in (70, 15, 16):
            raise LostError(f"dsvc {command}: exit code {answer.code}\n{answer.err}")
        after = copy.look(check=False)
        # The copy's files are all looked at anew, so it takes longer; most of the writing comes late.
        part = self.random.choice((self.random.uniform(0, 1), self.random.triangular(0.3, 1, 0.75)))
        _, killed = project.try_to_run(words, after=part * duration)
        if not killed:
            self.finished += 1
        collected = killed and self.random.random() < 0.25
        if collected:
            project.collect_from_elsewhere()
        where = f"dsvc {command}" + (", killed" if killed else "") + (", gc from elsewhere" if collected else "")
        look = project.look()
        self.compare(where, look.state, before.state, after.state)
        lost = lost_contents(before, look, after, collected=collected or "--prune" in command)
        if lost:
            paths = [path for path, (_, content) in before.state.files.items() if content in lost]
            status = before.state.status
            raise LostError(f"{where}: {len(lost)} contents are lost, of the files {paths}, status {status}")
        if killed:
            self.kills += 1
            self.by_verb[words[0]] += 1
            self.refused += answer.code != 0
            self.old += look.state == before.state
            self.new += look.state != before.state
            if look.state == before.state and answer.code == 0 and self.random.random() < 0.5 and not collected:
                project.ok(*words)  # the same command once more

    def choose(self, state: State) -> str:
        branches = sorted(name.removeprefix("heads/") for name in state.refs if name.startswith("heads/"))
        here = state.refs["worktrees/main/HEAD"].removeprefix("heads/")
        others = [branch for branch in branches if branch != here]
        command = self.random.choice(COMMANDS)
        if state.status["under_way"] and self.random.random() < 0.5:
            command = f"{state.status['under_way']} --abort"
        if not others and "{other}" in command:
            command = "switch -q -c fresh{number}"
        return command.format(other=self.random.choice(others or ["main"]), number=self.project.clock)

    def compare(self, where: str, state: State, before: State, after: State) -> None:
        if state not in (before, after):
            raise LostError(
                f"{where}: neither the old state nor the new one\nagainst the old one:\n{state.difference(before)}\n"
                f"against the new one:\n{state.difference(after)}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill dsvc at random moments and check that nothing is lost.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dsvc-kill-"))
    killer = Killer(Project(folder / "project"), arguments.seed)
    print(f"seed {arguments.seed} in {folder}")
    try:
        killer.begin()
        killer.run(arguments.kills)
    except AssertionError as error:
        print(f"after {killer.kills} kills: {error}", file=sys.stderr)
        print(f"the project is left in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    verbs = ", ".join(f"{verb} {count}" for verb, count in killer.by_verb.most_common())
    print(f"{killer.kills} kills ({verbs}); {killer.finished} commands were faster")
    print(f"{killer.old} left the old state, {killer.new} the new one; nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
