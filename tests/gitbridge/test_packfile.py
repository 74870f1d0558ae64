"""Packs that git itself reads."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from dsvc.gitbridge.gitsource import BLOB
from dsvc.gitbridge.packfile import GitPack, object_header
from tests.gitbridge.conftest import Bridge, Git
from tests.gitbridge.test_incremental import commit_in_dsvc


def oid_of(data: bytes) -> bytes:
    return hashlib.sha1(object_header(BLOB, len(data)) + data).digest()


def test_git_reads_the_pack(new_git: Callable[..., Git]) -> None:
    git = new_git("git", bare=True)
    random_bytes = random.Random(3)
    contents = [random_bytes.randbytes(size) for size in (0, 1, 15, 16, 17, 2047, 2048, 300_000)]
    pack = GitPack(git.path / "objects" / "pack")
    for data in contents[:4]:
        pack.add(BLOB, oid_of(data), data)
    for data in contents[4:]:
        pieces = [data[i : i + 1000] for i in range(0, len(data), 1000)]
        assert pack.add_stream(BLOB, len(data), pieces, known=lambda _oid: False) == oid_of(data)
    size = pack.size
    pack.add_stream(BLOB, 300_000, [contents[-1]], known=lambda _oid: False)
    pack.add_stream(BLOB, 3, [b"abc"], known=lambda _oid: True)
    assert (len(pack), pack.size) == (8, size), "what is there already is dropped again"
    assert pack.read(oid_of(contents[3])) == (BLOB, contents[3])
    pack.add(BLOB, oid_of(b"last"), b"last")
    pack.finish()
    (index,) = (git.path / "objects" / "pack").glob("*.idx")
    git("verify-pack", str(index))
    for data in [*contents, b"last"]:
        shown = git("cat-file", "--batch", stdin=oid_of(data).hex().encode())
        assert shown.startswith(oid_of(data).hex().encode() + b" blob %d" % len(data))


def test_large_files_both_ways(bridge: Bridge, new_git: Callable[..., Git]) -> None:
    data = random.Random(4).randbytes(3_000_000)
    commit_in_dsvc(bridge, big=data)
    out, _ = bridge.give()
    assert out("fsck", "--strict") == b""
    work = new_git("work")
    work("pull", "-q", str(out.path), "main")
    assert (work.path / "big").read_bytes() == data
    work.write("big", data[::-1])
    work.commit("backwards")
    work("push", "-q", str(out.path), "main")
    bridge.take(out)
    again, _ = bridge.give("again")
    assert again.everything() == out.everything()
