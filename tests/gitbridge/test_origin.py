"""The metadata of docs/formats/git.md, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dsvc.gitbridge.origin import Origin, TooManyOdditiesError, commit_origin, seal_commit
from dsvc.objects import codec
from dsvc.objects.ids import CommitId, ObjectId, TreeId
from dsvc.objects.values import Commit, Person, decode_commit, encode_commit

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "git.md"
GOLDEN = (
    "81a367697483a26964c4141234567890123456789012345678901234567890a3"
    "6f6464919292c405612e62696ec40092c4036f6c64c409313030363634207800"
    "a47365616cc410334f020975fcbc4d4136964097c98bac"
)
ORIGIN = Origin(bytes.fromhex("1234567890" * 4), None, {b"old": b"100664 x\0", b"a.bin": b""})


def make() -> Commit:
    author = Person("Ada", "ada@example.org", 1_600_000_000_000_000, 90)
    committer = author._replace(time=1_600_000_060_000_000)
    commit = Commit(TreeId(ObjectId(b"\1" * 32)), (CommitId(ObjectId(b"\2" * 32)),), author, committer, "first")
    return replace(commit, metadata={"git": ORIGIN.metadata(seal_commit(commit))})


def test_golden() -> None:
    assert codec.encode(make().metadata).hex() == GOLDEN
    text = PAGE.read_text()
    assert all(GOLDEN[i : i + 64] in text for i in range(0, len(GOLDEN), 64))


def test_read_back() -> None:
    assert commit_origin(decode_commit(encode_commit(make()))) == ORIGIN


def test_a_changed_commit_has_no_origin() -> None:
    assert commit_origin(replace(make(), message="second")) is None
    assert commit_origin(replace(make(), tree=TreeId(ObjectId(b"\3" * 32)))) is None
    assert commit_origin(replace(make(), metadata={})) is None


@pytest.mark.parametrize("damage", ["no map", {"id": 5}, {"odd": (("a", 1),)}, {"raw": "text"}])
def test_damaged_metadata_is_no_origin(damage: object) -> None:
    fields = make().metadata["git"]
    assert isinstance(fields, dict)
    git = {**fields, **damage} if isinstance(damage, dict) else damage
    assert commit_origin(replace(make(), metadata={"git": git})) is None  # type: ignore[dict-item]


def test_too_many_oddities() -> None:
    odd = {b"%08d" % number: b"" for number in range(1_000_000)}
    with pytest.raises(TooManyOdditiesError):
        Origin(b"\0" * 20, None, odd).metadata(b"")
