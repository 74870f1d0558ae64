"""Google's buckets, by a server that speaks their interface."""

from __future__ import annotations

import os

import pytest

from dsvc.sources import SourceChangedError, SourceError, SourceMissingError, Sources, parse_source
from tests.commands.conftest import CommandLine, command_line
from tests.servers.google import Google

BIG = os.urandom(3_000_000)


@pytest.fixture
def sources(google: Google):
    found = Sources(google.environment)
    yield found
    found.close()


def test_stat_list_and_read(google: Google, sources: Sources):
    google.bucket("rides", {"d/a.txt": b"one", "d/sub/b.bin": BIG, "d2.txt": b"beside", "d/": b""})
    prefix = parse_source("gs://rides/d")
    listed = {one.address: one for one in sources.of(prefix).list(prefix) if one.size}
    assert list(listed) == ["gs://rides/d/a.txt", "gs://rides/d/sub/b.bin"]
    for address, one in listed.items():
        now = sources.stat(address)
        assert (now.size, now.etag) == (one.size, one.etag)
        assert now.version  # the generation
        for found in (now, one):
            assert sources.stream(found).read(4_000_000) == (BIG if one.size > 3 else b"one")
    assert sources.stream(listed["gs://rides/d/sub/b.bin"], start=2_000_000).read(4_000_000) == BIG[2_000_000:]


def test_changed_gone_and_not_there(google: Google, sources: Sources):
    google.bucket("changes", {"a": b"one", "b": b"two"})
    prefix = parse_source("gs://changes/")
    a, b = sources.of(prefix).list(prefix)
    google.put("changes", "a", b"another")
    google.delete("changes", "b")
    with pytest.raises(SourceChangedError):
        sources.stream(a).read(10)
    with pytest.raises(SourceMissingError):
        sources.stream(b).read(10)
    with pytest.raises(SourceMissingError):
        sources.stat("gs://changes/none")
    other = parse_source("gs://no-such-bucket/")
    with pytest.raises(SourceError):
        list(sources.of(other).list(other))


def test_an_import(google: Google, tmp_path):
    google.bucket("imported", {"d/a.txt": b"one", "d/b.bin": BIG})
    cli: CommandLine = command_line(tmp_path)
    cli.environment.update(google.environment)
    cli.ok("init", "-q")
    cli.ok("import-url", "--prefix", "gs://imported/d", "copies")
    cli.ok("import-url", "--prefix", "--reference", "gs://imported/d", "refs")
    cli.ok("commit", "-q", "-m", "both")
    assert (cli.directory / "copies/b.bin").read_bytes() == BIG
    assert cli.ok("cat", "HEAD:refs/b.bin").raw == BIG
    google.put("imported", "d/a.txt", b"two")
    assert cli.ok("data", "update").out == "changed:  copies/a.txt\nchanged:  refs/a.txt\n"
    assert (cli.directory / "copies/a.txt").read_bytes() == b"two"
