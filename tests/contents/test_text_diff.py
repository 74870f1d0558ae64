from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.contents.text_diff import TextDiff, changed_ranges, line_counts, quoted_name, render, unified


def git_diff(folder: Path, *options: str) -> bytes:
    """What `git diff` says of the files a/x and b/x, from the --- line on."""
    command = ["git", "-c", "core.pager=cat", "diff", "--no-index", "--no-prefix", "--no-ext-diff"]
    done = subprocess.run([*command, *options, "a/x", "b/x"], cwd=folder, capture_output=True, check=False)
    assert not done.stderr
    out = done.stdout
    at = out.find(b"--- ")
    return out[at:] if at >= 0 else b""


def write(folder: Path, old: bytes, new: bytes) -> None:
    for side, text in (("a", old), ("b", new)):
        (folder / side).mkdir(exist_ok=True)
        (folder / side / "x").write_bytes(text)


def generated(seed: int) -> tuple[bytes, bytes]:
    rng = random.Random(seed)
    words = (b"def f():", b"    return 1", b"", b"}", b"{", b"class X:", b"\tx = \xff\xe9", b"    y  =  2", b"z")
    end = rng.choice((b"\n", b"\n", b"\r\n"))
    old = [rng.choice(words) + (b" %d" % n if rng.random() < 0.4 else b"") for n in range(rng.randrange(60))]
    new = list(old)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(new) + 1)
        new[at : at + rng.randrange(4)] = [rng.choice(words) for _ in range(rng.randrange(4))]
        if new:
            at = rng.randrange(len(new))
            new[at] = new[at].replace(b" ", b"  ")
    texts = [b"".join(line + end for line in lines) for lines in (old, new)]
    texts = [text.removesuffix(end) if rng.random() < 0.2 else text for text in texts]
    return texts[0], texts[1]


CASES = (
    ({}, []),
    ({"context": 0}, ["-U0"]),
    ({"context": 7}, ["-U7"]),
    ({"ignore_whitespace": True}, ["-w"]),
    ({"algorithm": "minimal"}, ["--minimal"]),
    ({"algorithm": "patience"}, ["--patience"]),
)


@pytest.mark.parametrize(("arguments", "options"), CASES)
def test_equals_git_diff(tmp_path: Path, arguments: dict[str, object], options: list[str]) -> None:
    for seed in range(60):
        old, new = generated(seed)
        write(tmp_path, old, new)
        diff = unified(old, new, old_name=b"x", new_name=b"x", **arguments)
        assert render(diff) == git_diff(tmp_path, *options), (seed, old, new)


def test_long_common_ends_are_shown_as_by_git(tmp_path: Path) -> None:
    for old, new in (
        (b"}\n" * 3000, b"}\n" * 3001),
        (b"x\n" * 3000, b"y\n" + b"x\n" * 3001),
        (b"a" * 3000, b"b" + b"a" * 3000),
        (b"a" * 3000 + b"\n", b"b" + b"a" * 3000 + b"\n"),
        (b"a\n" * 512, b"a\n" * 513),
    ):
        write(tmp_path, old, new)
        for context in (0, 3):
            diff = unified(old, new, old_name=b"x", new_name=b"x", context=context)
            assert render(diff) == git_diff(tmp_path, f"-U{context}")


def test_line_counts_equal_git_numstat(tmp_path: Path) -> None:
    for seed in range(40):
        old, new = generated(seed)
        write(tmp_path, old, new)
        command = ["git", "diff", "--no-index", "--numstat", "a/x", "b/x"]
        out = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout.split()
        expected = (int(out[0]), int(out[1])) if out else (0, 0)
        assert line_counts(old, new) == expected
        diff = unified(old, new, old_name=b"x", new_name=b"x")
        assert (diff.added, diff.removed) == expected


def test_git_applies_what_is_rendered(tmp_path: Path) -> None:
    for seed in range(100, 130):
        old, new = generated(seed)
        if old == new:
            continue
        (tmp_path / "sp ace").write_bytes(old)
        patch = render(unified(old, new, old_name=b"sp ace", new_name=b"sp ace"))
        subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], input=patch, cwd=tmp_path, check=True)
        assert (tmp_path / "sp ace").read_bytes() == new


def test_no_newline_at_the_end_is_said() -> None:
    diff = unified(b"a\r\nb", b"a\r\nB", old_name=b"x", new_name=b"x")
    assert render(diff) == (
        b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\r\n-b\n\\ No newline at end of file\n+B\n\\ No newline at end of file\n"
    )
    assert diff.hunks[0].lines == ((" ", b"a\r\n"), ("-", b"b"), ("+", b"B"))


def test_files_that_come_and_go() -> None:
    assert render(unified(None, b"a\n", old_name=b"x", new_name=b"x")) == (
        b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n"
    )
    assert render(unified(b"a\n", None, old_name=b"x", new_name=b"x")) == (
        b"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    )
    assert render(unified(None, b"", old_name=b"x", new_name=b"x")) == b""
    assert line_counts(None, b"a\nb") == (2, 0)
    assert line_counts(b"a\nb", None) == (0, 2)


def test_binary_files_are_only_named() -> None:
    diff = unified(b"a\0", b"b\0", old_name=b"x", new_name=b"\xc3\xa9")
    assert diff == TextDiff(b"x", b"\xc3\xa9", (), 0, 0, binary=True)
    assert render(diff) == 'Binary files a/x and b/é differ\n'.encode()
    assert render(unified(None, b"\0", old_name=b"x", new_name=b"x")) == b"Binary files /dev/null and b/x differ\n"
    assert render(unified(b"\0", b"\0", old_name=b"x", new_name=b"x")) == b""
    assert line_counts(b"a\n", b"\0") == (0, 0)


def test_a_nul_beyond_the_head_is_text() -> None:
    old = b"x\n" * 5000 + b"\0\n"
    assert not unified(old, old + b"y\n", old_name=b"x", new_name=b"x").binary
    assert line_counts(old, old + b"y\n") == (1, 0)


@pytest.mark.parametrize(
    "name",
    [
        b"plain", b"sp ace", "é".encode(), "猫🐱".encode(), "é\t".encode(), b'q"uote', b"back\\slash",
        b"t\tn\nr\r\x01\x7f", b"\xff", b"d/e.f-g_h",
    ],
)  # fmt: skip
def test_odd_names_are_quoted_as_git_quotes_them(tmp_path: Path, name: bytes) -> None:
    def git(*arguments: bytes | str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, check=True).stdout

    git("init", "-q")
    path = bytes(tmp_path) + b"/" + name
    Path(path.decode(errors="surrogateescape")).parent.mkdir(exist_ok=True)
    Path(path.decode(errors="surrogateescape")).write_bytes(b"a\n")
    git("add", "-A")
    git("config", "core.quotePath", str("\udcff" in name.decode(errors="surrogateescape")))
    assert git("ls-files") == quoted_name(name) + b"\n"
    Path(path.decode(errors="surrogateescape")).write_bytes(b"b\n")
    out = git("diff")
    assert render(unified(b"a\n", b"b\n", old_name=name, new_name=name)) == out[out.index(b"--- ") :]


lines = st.sampled_from([b"a\n", b"b\n", b"\n", b"c\r\n", b"\\ x\n", b"@@ y\n", b"-\n", b"--- z\n"])
texts = st.lists(lines).map(b"".join)


@given(texts, texts)
def test_ranges_and_hunks_lead_from_one_text_to_the_other(old: bytes, new: bytes) -> None:
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    built: list[bytes] = []
    at = 0
    for change in changed_ranges(old, new):
        built += before[at : change.old_start]
        assert len(built) == change.new_start
        built += after[change.new_start : change.new_start + change.new_lines]
        at = change.old_start + change.old_lines
    assert built + before[at:] == after
    for hunk in unified(old, new, old_name=b"x", new_name=b"x").hunks:
        old_side = [text for origin, text in hunk.lines if origin != "+"]
        new_side = [text for origin, text in hunk.lines if origin != "-"]
        assert before[max(hunk.old_start - 1, 0) :][: hunk.old_lines] == old_side or not old_side
        assert after[max(hunk.new_start - 1, 0) :][: hunk.new_lines] == new_side or not new_side
