"""`dsvc export`: folders and archives."""

from __future__ import annotations

import io
import os
import random
import tarfile
import zipfile

import pytest


@pytest.fixture
def project(history):
    data = random.Random(3).randbytes(400_000)
    history.write({"a.txt": "a\n", "src/run.sh": "#!/bin/sh\n", "data.bin": data})
    os.chmod(history.cli.directory / "src/run.sh", 0o755)
    os.symlink("a.txt", history.cli.directory / "link")
    (history.cli.directory / "empty").mkdir()
    history.commit("one")
    history.commit("two", {"a.txt": "changed\n"})
    return history


def test_folder(project) -> None:
    cli = project.cli
    target = cli.directory.parent / "out"
    cli.ok("export", "HEAD~1", str(target))
    assert (target / "a.txt").read_text() == "a\n"
    assert (target / "data.bin").read_bytes() == (cli.directory / "data.bin").read_bytes()
    assert os.readlink(target / "link") == "a.txt"
    assert os.access(target / "src/run.sh", os.X_OK)
    assert list((target / "empty").iterdir()) == []
    refused = cli("export", "HEAD", str(target))
    assert (refused.code, "is not empty" in refused.err) == (3, True)
    (target / "mine").write_text("kept")
    cli.ok("export", "--force", "HEAD", str(target), "a.txt")
    assert (target / "a.txt").read_text() == "changed\n"
    assert (target / "mine").read_text() == "kept"
    assert cli("export", "HEAD", str(target / "a.txt")).code == 3
    assert cli("export", "HEAD", str(target / "new"), "nope").code == 3


def test_nothing_is_written_through_a_link(project) -> None:
    target, outside = project.cli.directory.parent / "out", project.cli.directory.parent / "outside"
    target.mkdir()
    outside.mkdir()
    os.symlink(outside, target / "src")
    os.symlink(outside / "x", target / "a.txt")
    project.cli.ok("export", "-f", "HEAD", str(target))
    assert list(outside.iterdir()) == []
    assert (target / "src/run.sh").read_text() == "#!/bin/sh\n"


def test_archives_are_the_same_every_time(project) -> None:
    cli = project.cli
    for ending in ("tar", "tar.gz", "zip"):
        first, second = (cli.directory.parent / f"{n}.{ending}" for n in "ab")
        cli.ok("export", "HEAD~1", str(first), "--prefix", "p/")
        cli.environment["DSVC_DATE"] = "2027-01-01T00:00:00+00:00"
        cli.ok("export", "HEAD~1", str(second), "--prefix", "p/")
        assert first.read_bytes() == second.read_bytes()
        assert cli("export", "HEAD", str(first)).code == 3
    with tarfile.open(cli.directory.parent / "a.tar.gz") as tar:
        assert tar.getnames() == ["p/a.txt", "p/data.bin", "p/empty", "p/link", "p/src/run.sh"]
        assert tar.getmember("p/src/run.sh").mode == 0o755
        assert tar.getmember("p/link").linkname == "a.txt"
    with zipfile.ZipFile(cli.directory.parent / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("p/a.txt") == b"a\n"
    streamed = cli.ok("export", "HEAD", "-").raw
    with tarfile.open(fileobj=io.BytesIO(streamed)) as tar:
        assert tar.extractfile("data.bin").read() == (cli.directory / "data.bin").read_bytes()
