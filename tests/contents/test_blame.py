from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsvc.contents.blame import LineOrigin, LineOrigins, blame


@dataclass
class History:
    """A real git repository with one file, and the same history in memory."""

    folder: Path
    texts: dict[str, bytes] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)

    def git(self, *arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, input=data, capture_output=True, check=True)
        return done.stdout.decode()

    def grow(self, versions: list[tuple[bytes, list[int]]]) -> list[str]:
        """Write one commit a version (text, numbers of its parents) and return their ids."""
        self.git("init", "-q")
        stream = []
        for number, (text, parents) in enumerate(versions):
            stream.append(b"commit refs/heads/n%d\nmark :%d\n" % (number, number + 1))
            stream.append(b"committer A <a@example.org> %d +0000\ndata 0\n" % (1_600_000_000 + number * 60))
            stream += [b"%s :%d\n" % (b"merge" if k else b"from", p + 1) for k, p in enumerate(parents)]
            stream.append(b"M 100644 inline x\ndata %d\n%s\n" % (len(text), text))
        self.git("fast-import", "--quiet", "--export-marks=marks", data=b"".join(stream))
        marks = dict(line.split() for line in (self.folder / "marks").read_text().splitlines())
        ids = [marks[f":{number + 1}"] for number in range(len(versions))]
        for commit, (text, parents) in zip(ids, versions, strict=True):
            self.texts[commit] = text
            self.parents[commit] = [ids[p] for p in parents]
        return ids

    def blame_by_git(self, commit: str) -> tuple[LineOrigin[str], ...]:
        found = []
        for line in self.git("blame", "--line-porcelain", commit, "--", "x").splitlines():
            words = line.split(" ")
            if len(words[0]) == 40 and len(words) >= 3 and not line.startswith("\t"):
                found.append(LineOrigin(words[0], int(words[1])))
        return tuple(found)

    def blame_by_dsvc(self, commit: str) -> tuple[LineOrigin[str], ...]:
        return blame(commit, self.texts[commit], lambda key, _: [(p, self.texts[p]) for p in self.parents[key]])


def edited(text: bytes, rng: random.Random, area: tuple[float, float] = (0, 1)) -> bytes:
    words = (b"}", b"", b"return", b"x = 1", b"# note")
    lines = text.splitlines()
    for _ in range(rng.randrange(1, 4)):
        at = int(len(lines) * rng.uniform(*area))
        new = [rng.choice(words) + (b" %d" % rng.randrange(50) if rng.random() < 0.5 else b"") for _ in range(3)]
        lines[at : at + rng.randrange(3)] = new[: rng.randrange(4)]
    return b"\n".join(lines) + rng.choice((b"\n", b"\n", b""))


def linear(rng: random.Random, start: int) -> list[tuple[bytes, list[int]]]:
    text = b"".join(b"line %d\n" % n if n % 3 else b"}\n" for n in range(start))
    versions = [(text, list[int]())]
    for number in range(25):
        text = edited(text, rng)
        versions.append((text, [number]))
    return versions


def merged(rng: random.Random) -> list[tuple[bytes, list[int]]]:
    """Two sides that change the two halves of the file and meet again and again."""
    text = b"".join(b"line %d of the text\n" % n for n in range(60))
    versions = [(text, list[int]())]
    tip = 0
    for _ in range(6):
        top, bottom = text[: len(text) // 2], text[len(text) // 2 :]
        at = top.rfind(b"\n") + 1
        top, bottom = text[:at], text[at:]
        new_top, new_bottom = edited(top, rng).rstrip(b"\n") + b"\n", edited(bottom, rng)
        versions += [(new_top + bottom, [tip]), (top + new_bottom, [tip])]
        one, two = len(versions) - 2, len(versions) - 1
        text = new_top + new_bottom
        if rng.random() < 0.5:
            text = b"merged by hand\n" + text
        elif rng.random() < 0.3:
            text = versions[two][0]
        versions.append((text, rng.choice(([one, two], [two, one]))))
        tip = len(versions) - 1
    return versions


@pytest.mark.parametrize("seed", range(8))
def test_a_line_of_history_is_blamed_as_by_git(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path)
    ids = history.grow(linear(random.Random(seed), 30 + 60 * seed))
    for commit in (ids[-1], ids[12]):
        assert history.blame_by_dsvc(commit) == history.blame_by_git(commit)


@pytest.mark.parametrize("seed", [*range(8), 147])
def test_history_with_merges_is_blamed_as_by_git(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path)
    ids = history.grow(merged(random.Random(seed)))
    assert history.blame_by_dsvc(ids[-1]) == history.blame_by_git(ids[-1])


def test_lines_move_to_the_parent_that_has_them() -> None:
    search = LineOrigins("merge", b"one\nboth\ntwo\nnew\n")
    search.pass_to_parents("merge", [("a", b"one\nboth\n"), ("b", b"both\ntwo\n")])
    assert search.waiting == ("a", "b")
    search.pass_to_parents("a", [])
    search.pass_to_parents("b", [])
    assert search.waiting == ()
    assert search.origins() == (("a", 1), ("a", 2), ("b", 2), ("merge", 4))


def test_two_lines_that_come_from_the_same_line() -> None:
    search = LineOrigins("m", b"x\nx\n")
    search.pass_to_parents("m", [("a", b"x\n"), ("b", b"0\nx\n1\n2\nx\n")])
    search.pass_to_parents("a", [("r", b"x\n")])
    search.pass_to_parents("b", [("r", b"x\n")])
    search.pass_to_parents("r", [])
    assert search.origins() == (("r", 1), ("r", 1))


def test_many_equal_lines_are_blamed_as_by_git(tmp_path: Path) -> None:
    history = History(tmp_path)
    ids = history.grow([(b"}\n" * 2000, []), (b"}\n" * 2003, [0]), (b"{\n" + b"}\n" * 2004, [1])])
    assert history.blame_by_dsvc(ids[2]) == history.blame_by_git(ids[2])


def test_a_parent_with_the_same_text_takes_all() -> None:
    search = LineOrigins("merge", b"x\ny\n")
    search.pass_to_parents("merge", [("a", b"x\nz\n"), ("b", b"x\ny\n")])
    assert search.waiting == ("b",)
    assert search.origins() == (("b", 1), ("b", 2))


def test_a_search_that_stops_early_answers_with_where_lines_are() -> None:
    search = LineOrigins(3, b"a\nb")
    search.pass_to_parents(3, [(2, b"a\n")])
    assert search.origins() == ((2, 1), (3, 2))


def test_an_empty_text_has_no_lines() -> None:
    assert blame("a", b"", lambda *_: []) == ()
