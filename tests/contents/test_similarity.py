from __future__ import annotations

import random
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dsvc.contents.similarity import best_matches, fingerprint, score, similarity


def lines(rng: random.Random, count: int) -> list[bytes]:
    """Lines of code that seldom repeat, some longer than a span."""
    numbers = [(rng.randrange(10**6), rng.randrange(99), rng.randrange(12)) for _ in range(count)]
    return [b"    value_%d = compute(%d)%s\n" % (name, value, b" # why" * why) for name, value, why in numbers]


def edited(text: list[bytes], rng: random.Random, edits: int) -> bytes:
    text = list(text)
    for _ in range(edits):
        text[rng.randrange(len(text))] = b"edited %d\n" % rng.randrange(10**9)
    return b"".join(text)


def git_similarity(folder: Path, old: bytes, new: bytes) -> int:
    """The percentage that `git diff-tree -M` shows for a file renamed from `old` to `new`."""

    def git(*arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, input=data, capture_output=True, check=True)
        return done.stdout.decode()

    trees = []
    for name, content in (("old", old), ("new", new)):
        blob = git("hash-object", "-w", "--stdin", data=content).strip()
        trees.append(git("mktree", data=f"100644 blob {blob}\t{name}\n".encode()).strip())
    status = git("diff-tree", "-M1%", "-r", *trees).split()[4]
    return int(status[1:]) if status[0] == "R" else 0


def test_scores_are_those_of_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    rng = random.Random(5)
    for edits in (1, 5, 20, 60, 150):
        text = lines(rng, 100)
        old, new = b"".join(text), edited(text, rng, edits)
        assert abs(similarity(old, new) - git_similarity(tmp_path, old, new)) <= 1
    old, new = rng.randbytes(3000) + bytes(4000), bytes(9000)
    assert abs(similarity(old, new) - git_similarity(tmp_path, old, new)) <= 1


def test_ends_of_the_scale() -> None:
    assert similarity(b"a\nb\n", b"a\nb\n") == 100
    assert similarity(b"a\nb\n", b"b\na\n") == 100
    assert similarity(b"a\n", b"b\n") == 0
    assert similarity(b"", b"") == 0
    assert similarity(b"a\r\nb\r\n", b"a\nb\n") == 100


def test_bytes_that_a_file_gained_count() -> None:
    assert similarity(b"a\n" * 50, b"a\n" * 50 + b"b\n" * 50) == 50
    assert similarity(b"x" * 640, b"x" * 64) == 10  # each occurrence of a span counts once


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_scores_are_symmetric_and_bounded(a: bytes, b: bytes) -> None:
    assert 0 <= similarity(a, b) == similarity(b, a) <= 100
    assert similarity(a, a) == (100 if a else 0)


def test_renamed_files_find_their_origin_among_many() -> None:
    rng = random.Random(3)
    licence = [b"# licence line %d\n" % n for n in range(40)]
    texts = [licence + lines(rng, 60) for _ in range(150)]
    sources = {f"old{n}": fingerprint(b"".join(text)) for n, text in enumerate(texts)}
    targets = {f"new{n}": fingerprint(edited(text, rng, 15)) for n, text in enumerate(texts)}
    strangers = {f"other{n}": fingerprint(b"".join(licence + lines(rng, 60))) for n in range(50)}
    found = best_matches(sources, targets | strangers)
    assert {(source, target) for source, target, _ in found} == {(f"old{n}", f"new{n}") for n in range(150)}
    assert [points for _, _, points in found] == sorted((points for _, _, points in found), reverse=True)
    assert all(points == score(sources[source], targets[target]) for source, target, points in found)


def test_files_of_one_template_are_told_apart() -> None:
    rng = random.Random(4)
    template = lines(rng, 100)
    texts = [[b"id = %d\n" % n, *template] for n in range(120)]
    sources = {n: fingerprint(b"".join(text)) for n, text in enumerate(texts)}
    targets = {n: fingerprint(b"".join(text) + b"added %d\n" % n) for n, text in enumerate(texts)}
    found = best_matches(sources, targets)
    assert sorted(found)[:3] == [(0, 0, found[0][2]), (1, 1, found[0][2]), (2, 2, found[0][2])]
    assert all(source == target for source, target, _ in found)
    assert len(found) == 120


def test_a_source_serves_one_target_unless_copies_are_sought() -> None:
    source = {"a": fingerprint(b"1\n2\n3\n4\n")}
    targets = {"b": fingerprint(b"1\n2\n3\n5\n"), "c": fingerprint(b"1\n2\n3\n4\n5\n")}
    assert best_matches(source, targets) == [("a", "c", 80)]
    assert best_matches(source, targets, reuse_sources=True) == [("a", "c", 80), ("a", "b", 75)]
    assert best_matches(source, targets, minimum=81) == []


def test_a_target_whose_best_source_went_to_another_takes_the_next() -> None:
    sources = {"a": fingerprint(b"1\n2\n3\n4\n"), "b": fingerprint(b"1\n2\n8\n9\n")}
    targets = {"c": fingerprint(b"1\n2\n3\n4\n"), "d": fingerprint(b"1\n2\n3\n5\n")}
    assert best_matches(sources, targets) == [("a", "c", 100), ("b", "d", 50)]


def test_equal_scores_are_settled_by_preference() -> None:
    same = fingerprint(b"1\n2\n3\n")
    sources = {"x/one": same, "x/two": same}
    targets = {"y/two": same, "y/one": same}
    found = best_matches(sources, targets, prefer=lambda s, t: s.partition("/")[2] == t.partition("/")[2])
    assert sorted(found) == [("x/one", "y/one", 100), ("x/two", "y/two", 100)]


def test_nothing_to_compare() -> None:
    assert best_matches({}, {"a": fingerprint(b"x")}) == []
    assert best_matches({"a": fingerprint(b"")}, {"b": fingerprint(b"")}, minimum=0) == []
