from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from dsvc.history.ancestry import Ancestry
from dsvc.history.describe import describe
from dsvc.history.follow import follow
from dsvc.history.graph import open_graph
from dsvc.history.graphupdate import paths_changed_in, update_graph
from dsvc.history.walk import walk
from dsvc.objects.tree import EntryKind

LINES = "".join(f"line {n}\n" for n in range(12))


class Twin:
    """The same random history here and in git."""

    def __init__(self, project, folder: Path, rng: random.Random, count: int, *, skew: int = 350) -> None:
        self.project, self.folder = project, folder / "git"
        self.folder.mkdir()
        self.commits, self.names, lines = [], {}, []
        contents: list[dict[str, str]] = []
        for number in range(count):
            first = max(0, number - 5)
            parents = rng.sample(range(first, number), min(number - first, rng.choice([1, 1, 1, 2, 2, 3])))
            files = dict(contents[parents[0]]) if parents else {"a": "0", "d/b": "0"}
            for other in parents[1:]:
                files |= rng.choice([contents[other], {}])
            files |= {rng.choice(["a", "d/b", "d/c", "e"]): str(rng.randrange(3))} if rng.random() < 0.7 else {}
            time = 1_700_000_000 + number * 100 + rng.choice([0, 0, -skew])
            contents.append(files)
            commit_id = project.commit(*(self.commits[p] for p in parents), files=files, message=str(number), time=time)
            self.commits.append(commit_id)
            self.names[commit_id] = str(number)
            lines.append(f"commit refs/heads/h{number}\nmark :{number + 1}\ncommitter A <a@e> {time} +0000\n")
            lines.append(f"data {len(str(number))}\n{number}\n")
            lines += [f"{'merge' if at else 'from'} :{p + 1}\n" for at, p in enumerate(parents)]
            lines.append("deleteall\n")
            lines += [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()]
        self.git("init", "-q", "--bare", ".")
        self.git("fast-import", "--quiet", "--force", data="".join(lines))

    def git(self, *arguments: str, data: str = "") -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.folder, input=data.encode(), capture_output=True, check=True)
        return done.stdout.decode()

    def log(self, *arguments: str) -> list[str]:
        """What git says, as "number" or, with --parents, "number: parents"."""
        return self.git("log", "--format=%s", *arguments).split()

    def walk(self, ancestry, tips, **options) -> list[str]:
        commits = [self.commits[n] for n in tips]
        if "hidden" in options:
            options["hidden"] = [self.commits[n] for n in options["hidden"]]
        return [self.names[step.id] for step in walk(ancestry, commits, store=self.project.store, **options)]

    def graph(self, covered: int):
        path = self.folder / "graph"
        changed = paths_changed_in(self.project.store)
        update_graph(path, self.project.get, self.commits[:covered], changed_paths=changed)
        return open_graph(path)


@pytest.fixture(params=[(1, 0), (2, 30), (3, 60)])
def twin_and_ancestry(project, tmp_path, request):
    seed, covered = request.param
    twin = Twin(project, tmp_path, random.Random(seed), 60)
    return twin, Ancestry(project.get, twin.graph(covered) if covered else None)


def test_orders_and_ranges_are_gits(twin_and_ancestry):
    twin, ancestry = twin_and_ancestry
    for tips, hidden in [((59,), ()), ((59, 58, 40), ()), ((59,), (50,)), ((57, 59), (55, 30))]:
        revisions = [f"h{n}" for n in tips] + [f"^h{n}" for n in hidden]
        assert twin.walk(ancestry, tips, hidden=hidden) == twin.log(*revisions)
        assert twin.walk(ancestry, tips, hidden=hidden, order="topo") == twin.log("--topo-order", *revisions)
        assert twin.walk(ancestry, tips, hidden=hidden, first_parent=True) == twin.log("--first-parent", *revisions)


def test_limited_to_paths_as_git(twin_and_ancestry):
    twin, ancestry = twin_and_ancestry
    for paths in (["a"], ["d"], ["d/c", "e"], ["none"]):
        for tips, hidden in [((59,), ()), ((59, 57), (40,))]:
            revisions = [f"h{n}" for n in tips] + [f"^h{n}" for n in hidden] + ["--", *paths]
            wanted = [path.encode() for path in paths]
            assert sorted(twin.walk(ancestry, tips, hidden=hidden, paths=wanted)) == sorted(twin.log(*revisions))
            found = twin.walk(ancestry, tips, hidden=hidden, paths=wanted, order="topo")
            assert sorted(found) == sorted(twin.log("--topo-order", *revisions))


def test_rewritten_parents_lead_to_shown_commits(twin_and_ancestry):
    twin, ancestry = twin_and_ancestry
    steps = list(walk(ancestry, [twin.commits[59]], store=twin.project.store, paths=[b"d"], rewrite=True))
    shown = {step.id for step in steps}
    assert len(shown) > 2
    assert all(parent in shown for step in steps for parent in step.parents)


def test_topological_order_of_a_page_looks_at_a_page_only(project, tmp_path):
    commits = [project.commit(message="0")]
    for number in range(1, 300):
        commits.append(project.commit(commits[-1], message=str(number)))
    path = tmp_path / "graph"
    update_graph(path, project.get, commits)
    looked = []

    class Counting(Ancestry):
        def parents(self, node):
            looked.append(node)
            return super().parents(node)

    steps = walk(Counting(project.get, open_graph(path)), [commits[5], commits[-1]], order="topo")
    assert [next(steps).id for _ in range(20)] == commits[:-21:-1]
    assert len(looked) < 60


def test_times_and_matches(project):
    commits = [project.commit(time=100, message="0", author="ann")]
    for number in range(1, 30):
        author = "bob" if number % 2 else "ann"
        commits.append(project.commit(commits[-1], time=100 + number, message=str(number), author=author))
    ancestry = Ancestry(project.get)

    def found(**options):
        return [int(project.get(step.id).message) for step in walk(ancestry, [commits[-1]], **options)]

    assert found(since=110_000_000, until=112_000_000) == [12, 11, 10]
    assert found(until=101_000_000) == [1, 0]
    assert found(since=127_000_000, matches=lambda _, commit: commit.author.name == "bob") == [29, 27]


def test_following_a_file_through_renames(project):
    a = project.commit(files={"old": LINES, "x": "1"})
    b = project.commit(a, files={"old": LINES + "b\n", "x": "1"})
    c = project.commit(b, files={"d/new": LINES + "b\nc\n", "x": "1"})
    d = project.commit(c, files={"d/new": LINES + "b\nc\n", "x": "2"})
    e = project.commit(d, files={"d/new": (EntryKind.EXECUTABLE, LINES + "b\nc\n"), "x": "2"})
    steps = list(follow(Ancestry(project.get), project.store, [e], b"d/new", similar=project.similar))
    assert [(s.id, s.path, s.old_path) for s in steps] == [
        (e, b"d/new", None), (c, b"d/new", b"old"), (b, b"old", None), (a, b"old", None),
    ]  # fmt: skip
    assert list(follow(Ancestry(project.get), project.store, [e], b"none")) == []


def test_descriptions_are_gits(project, tmp_path):
    twin = Twin(project, tmp_path, random.Random(3), 60, skew=0)  # git counts wrong where clocks were wrong
    ancestry = Ancestry(project.get)
    for number in (3, 20, 33, 41):
        twin.git("tag", f"t{number}", f"h{number}")
    tags = {twin.commits[n]: f"t{n}" for n in (3, 20, 33, 41)}
    for number in (20, 25, 38, 50, 59):
        found = describe(ancestry, twin.commits[number], tags)
        said = twin.git("describe", "--tags", "--long", f"h{number}").strip().rsplit("-", 1)[0]
        assert f"{found.tag}-{found.depth}" == said
    assert describe(ancestry, twin.commits[20], tags).text(twin.commits[20]) == "t20"
    assert describe(ancestry, twin.commits[0], tags) is None
