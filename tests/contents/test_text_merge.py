from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.contents.text_merge import Favor, Style, TextMerge, TextMergeFailedError, merge

LABELS = {"ours_label": b"ours", "base_label": b"the base", "theirs_label": b"side/branch"}


def git_merge_file(folder: Path, texts: tuple[bytes, bytes, bytes], *options: str) -> TextMerge:
    """What real git makes of (base, ours, theirs)."""
    for name, text in zip(("base", "ours", "theirs"), texts, strict=True):
        (folder / name).write_bytes(text)
    command = ["git", "merge-file", "-p", "-q", "-L", "ours", "-L", "the base", "-L", "side/branch"]
    done = subprocess.run([*command, *options, "ours", "base", "theirs"], cwd=folder, capture_output=True, check=False)
    assert not done.stderr
    return TextMerge(done.stdout, done.returncode)


def edited(lines: list[bytes], rng: random.Random) -> list[bytes]:
    lines = list(lines)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(lines) + 1)
        size = rng.randrange(4)
        new = [rng.choice((b"new %d" % rng.randrange(6), b"}", b"", b"  x")) for _ in range(rng.randrange(4))]
        lines[at : at + size] = new
    return lines


def generated(seed: int) -> tuple[bytes, bytes, bytes]:
    rng = random.Random(seed)
    words = (b"def f():", b"    return 1", b"", b"}", b"value = %d" % rng.randrange(9), b"# note", b"x")
    base = [rng.choice(words) + (b" %d" % n if rng.random() < 0.6 else b"") for n in range(rng.randrange(24))]
    ends = rng.choice(((b"\n", b"\n", b"\n"), (b"\r\n", b"\r\n", b"\r\n"), (b"\n", b"\r\n", b"\n")))
    sides = []
    for end, lines in zip(ends, (base, edited(base, rng), edited(base, rng)), strict=True):
        text = b"".join(line + end for line in lines)
        sides.append(text.removesuffix(end) if rng.random() < 0.2 else text)
    return sides[0], sides[1], sides[2]


@pytest.mark.parametrize("style", get_args(Style))
def test_equals_git_merge_file(tmp_path: Path, style: Style) -> None:
    option = [] if style == "merge" else [f"--{style}"]
    conflicted = 0
    for seed in range(220):
        texts = generated(seed)
        ours = merge(*texts, **LABELS, style=style)
        assert ours == git_merge_file(tmp_path, texts, *option), (seed, texts)
        conflicted += ours.conflicts > 0
    assert 40 < conflicted < 180  # the cases cover both outcomes


@pytest.mark.parametrize("favor", get_args(Favor))
def test_favor_equals_git_merge_file(tmp_path: Path, favor: Favor) -> None:
    for seed in range(60):
        texts = generated(seed)
        assert merge(*texts, **LABELS, favor=favor) == git_merge_file(tmp_path, texts, f"--{favor}"), seed


def test_markers_of_each_style() -> None:
    texts = b"a\nb\nc\n", b"a\nX\nc\n", b"a\nY\nc\n"
    assert merge(*texts, **LABELS) == TextMerge(b"a\n<<<<<<< ours\nX\n=======\nY\n>>>>>>> side/branch\nc\n", 1)
    assert merge(*texts, **LABELS, style="diff3").content == (
        b"a\n<<<<<<< ours\nX\n||||||| the base\nb\n=======\nY\n>>>>>>> side/branch\nc\n"
    )


def test_texts_that_hold_markers_are_not_counted() -> None:
    old = b"<<<<<<< ours\nx\n=======\ny\n>>>>>>> side/branch\nend\n"
    merged = merge(old, old.replace(b"end", b"one"), old.replace(b"end", b"two"), **LABELS)
    assert merged.conflicts == 1
    assert merged.content.count(b"<<<<<<< ours") == 2


def test_texts_with_long_rules_keep_them(tmp_path: Path) -> None:
    base = b"title\n" + b"=" * 200 + b"\n|" + b"-" * 30 + b"|\n" + b"<" * 16 + b"\nend\n"
    texts = base, base.replace(b"end", b"one"), base.replace(b"end", b"two")
    assert merge(*texts, **LABELS, style="diff3") == git_merge_file(tmp_path, texts, "--diff3")


@pytest.mark.parametrize("empty", [0, 1, 2])
@pytest.mark.parametrize("style", get_args(Style))
def test_an_empty_side_has_its_label(tmp_path: Path, empty: int, style: Style) -> None:
    texts = [b"x\ny\n", b"x\ny\nours\n", b"theirs\nx\ny\nz\n"]
    texts[empty] = b""
    option = [] if style == "merge" else [f"--{style}"]
    expected = git_merge_file(tmp_path, (texts[0], texts[1], texts[2]), *option)
    assert merge(*texts, **LABELS, style=style) == expected


def test_two_files_without_a_common_one() -> None:
    merged = merge(b"", b"a\n", b"b\n", **LABELS)
    assert merged == TextMerge(b"<<<<<<< ours\na\n=======\nb\n>>>>>>> side/branch\n", 1)


def test_windows_line_ends_stay() -> None:
    merged = merge(b"a\r\nb\r\nc\r\nd\r\n", b"A\r\nb\r\nc\r\nd\r\n", b"a\r\nb\r\nc\r\nD", **LABELS)
    assert merged == TextMerge(b"A\r\nb\r\nc\r\nD", 0)


def test_labels_of_any_bytes() -> None:
    merged = merge(b"a\n", b"b\n", b"c\n", ours_label=b"\xff\\1 x", theirs_label=b"\xe9", base_label=b"")
    assert merged.content == b"<<<<<<< \xff\\1 x\nb\n=======\nc\n>>>>>>> \xe9\n"


def test_a_line_of_markers_only_is_never_rewritten() -> None:
    base = b"=" * 70_000 + b"\nmiddle\nend\n"
    clean = merge(base, base.replace(b"end", b"one"), b"first\n" + base, **LABELS)
    assert clean == TextMerge(b"first\n" + base.replace(b"end", b"one"), 0)
    with pytest.raises(TextMergeFailedError, match="marker"):
        merge(base, base.replace(b"end", b"one"), base.replace(b"end", b"two"), **LABELS)


def test_binding_writes_nothing_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert merge(*generated(3), **LABELS)
    assert not list(tmp_path.iterdir())


texts = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"<<<<<<< ours\n", b"=======\n"]), max_size=8).map(b"".join)


@given(texts, texts, texts)
def test_both_directions_agree_on_whether_there_is_a_conflict(base: bytes, ours: bytes, theirs: bytes) -> None:
    forth = merge(base, ours, theirs, **LABELS)
    back = merge(base, theirs, ours, **LABELS)
    assert (forth.conflicts > 0) == (back.conflicts > 0)
    if not forth.conflicts:
        assert forth == back


@given(texts, texts)
def test_a_change_of_one_side_is_taken(base: bytes, changed: bytes) -> None:
    assert merge(base, changed, base, **LABELS) == merge(base, base, changed, **LABELS) == TextMerge(changed, 0)
