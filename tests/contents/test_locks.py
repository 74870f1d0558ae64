"""Lockfiles are compared and merged by package."""

from __future__ import annotations

import tomllib

import pytest

from dsvc.contents import locks
from dsvc.contents.driver import ContentMerge, MergeLabels, Settings, Source, UnfitError
from dsvc.contents.drivers import chosen

UV = """version = 1
requires-python = ">=3.11"

"""


def uv(**versions: str) -> str:
    """A lockfile as uv writes it."""
    text = UV
    for name, version in sorted(versions.items()):
        text += f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "r" }}\n'
        text += f'wheels = [\n    {{ url = "{name}-{version}.whl", hash = "sha256:{hash((name, version)):x}" }},\n]\n'
        text += f'\n[package.optional-dependencies]\nall = [\n    {{ name = "{name}-extra" }},\n]\n\n'
    return text.rstrip("\n") + "\n"


def merged(base: str, ours: str, theirs: str, name: str = "uv.lock") -> ContentMerge:
    sides = [Source.of(text.encode()) for text in (base, ours, theirs)]
    return locks.merge(sides[0], sides[1], sides[2], MergeLabels(ours=b"HEAD", theirs=b"side"), Settings(name.encode()))


def text_of(merge: ContentMerge) -> str:
    assert merge.content is not None
    return b"".join(merge.content).decode()


def shown(old: str, new: str, name: str = "uv.lock") -> list[str]:
    found = locks.diff(Source.of(old.encode()), Source.of(new.encode()), Settings(name.encode()))
    return [line.text for line in found.lines]


def versions(text: str) -> dict[str, str]:
    return {package["name"]: package["version"] for package in tomllib.loads(text)["package"]}


def test_packages_are_a_set():
    base = uv(attrs="1", numpy="1.26", pandas="2.0", zstd="1")
    ours = uv(attrs="1", blosc="3", numpy="2.0", pandas="2.0", zstd="1")
    theirs = uv(attrs="1", boto="9", numpy="1.26", pandas="2.2")
    found = merged(base, ours, theirs)
    assert versions(text_of(found)) == {"attrs": "1", "blosc": "3", "boto": "9", "numpy": "2.0", "pandas": "2.2"}
    assert (found.conflicts, found.notes) == (0, ("'uv lock' says whether these packages fit together",))
    assert text_of(merged(base, ours, base)) == ours
    assert text_of(merged(base, base, theirs)) == theirs
    assert shown(base, ours) == ["5 packages: 1 changed, 1 added", "+blosc 3", " numpy 1.26 -> 2.0"]


def test_a_package_that_both_changed_is_a_conflict():
    base, ours, theirs = uv(a="1", numpy="1", z="1"), uv(a="1", numpy="2", z="1"), uv(a="2", numpy="3", z="1")
    found = merged(base, ours, theirs)
    assert found.conflicts == 1
    assert found.notes[0] == "numpy: changed by both sides"
    text = text_of(found)
    assert text.count("<<<<<<< HEAD\n") == text.count("=======\n") == text.count(">>>>>>> side\n") == 1
    resolved = text[: text.index("<<<<<<<")] + text[text.index(">>>>>>> side\n") + len(">>>>>>> side\n") :]
    assert versions(resolved) == {"a": "2", "z": "1"}


def test_versions_of_one_package_for_several_platforms():
    base = (
        uv(a="1") + '\n[[package]]\nname = "torch"\nversion = "1"\n\n[[package]]\nname = "torch"\nversion = "1+cpu"\n'
    )
    theirs = base.replace('"1+cpu"', '"2+cpu"')
    assert text_of(merged(base, base.replace('name = "a"\nversion = "1"', 'name = "a"\nversion = "2"'), theirs)) == (
        theirs.replace('name = "a"\nversion = "1"', 'name = "a"\nversion = "2"')
    )


def test_what_follows_the_packages_of_poetry():
    tail = '\n[metadata]\nlock-version = "2.1"\ncontent-hash = "{}"\n'
    base, ours, theirs = (
        uv(a=v, b=w) + tail.format(h) for v, w, h in (("1", "1", "x"), ("2", "1", "y"), ("1", "2", "x"))
    )
    found = merged(base, ours, theirs, "poetry.lock")
    assert versions(text_of(found)) == {"a": "2", "b": "2"}
    assert text_of(found).endswith(tail.format("y"))


def test_requirements():
    base = "-r base.txt\n# pinned\nnumpy==1.26 \\\n    --hash=sha256:a\n    # via pandas\nPandas==2.0\nzstd==1\n"
    ours = base.replace("numpy==1.26", "numpy==2.0").replace("sha256:a", "sha256:b")
    theirs = base.replace("Pandas==2.0\n", "Pandas==2.2\nscipy==1.1\n").replace("zstd==1\n", "")
    found = merged(base, ours, theirs, "requirements.txt")
    assert text_of(found) == (
        "-r base.txt\n# pinned\nnumpy==2.0 \\\n    --hash=sha256:b\n    # via pandas\nPandas==2.2\nscipy==1.1\n"
    )
    assert shown(base, theirs, "requirements.txt") == [
        "3 packages: 1 changed, 1 added, 1 removed", " pandas ==2.0 -> ==2.2", "+scipy ==1.1", "-zstd ==1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a = [", "package = 1\n", "package = [{name = 'a'}]\n", uv(a="1") + uv(a="1")[len(UV) :]]
)
def test_what_is_no_lockfile_is_left_to_lines(text: str):
    with pytest.raises(UnfitError):
        merged(text, text + "\n", text + "#\n")


def test_names():
    for name in (
        "uv.lock",
        "sub/poetry.lock",
        "pylock.toml",
        "pylock.dev.toml",
        "requirements.txt",
        "requirements-dev.txt",
    ):
        assert chosen(name.encode(), {}, "merge") == "lock", name
    for name, driver in (
        ("package-lock.json", "params"),
        ("other.lock", None),
        ("notes.txt", None),
        ("a.toml", "params"),
    ):
        assert chosen(name.encode(), {}, "diff") == driver, name
