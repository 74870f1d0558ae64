"""`dsvc import-url` against a real web server and a real bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsvc.sources import reading
from dsvc.worktree import creating
from tests.commands.conftest import CommandLine
from tests.servers.seaweed import Seaweed
from tests.servers.web import Web

DATA = os.urandom(3_000_000)


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init", "-q")
    return cli


@pytest.fixture(scope="module")
def filled(seaweed: Seaweed) -> str:
    pytest.importorskip("obstore")
    name = seaweed.bucket()
    client = seaweed.client()
    for key, data in (("d/big.bin", DATA), ("d/one.txt", b"one"), ("d/sub/two.txt", b"two"), ("d.txt", b"beside")):
        client.put_object(Bucket=name, Key=key, Body=data)
    return name


@pytest.fixture
def bucket(cli: CommandLine, seaweed: Seaweed, filled: str) -> str:
    cli.environment.update(seaweed.environment)
    return filled


def test_a_copy_from_the_web_is_a_file_like_others(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    answer = project.ok("import-url", f"{web.url}/data.bin", "data/set.bin")
    assert "Imported 1 file of 2.9 MiB to data/set.bin" in answer.err
    assert (project.directory / "data/set.bin").read_bytes() == DATA
    project.ok("commit", "-q", "-m", "set")
    project.ok("data", "drop", "--numcopies", "0", "data/set.bin")  # nothing but the store could bring it back
    assert "missing" not in project.ok("status").out


def test_no_temporary_file_beside_the_packs(project: CommandLine, web: Web, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    real = os.open

    def watched(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR):
            opened.append(os.fsdecode(path) if isinstance(path, (str, bytes)) else str(path))
        return real(path, flags, *rest, **more)

    web.files["/data.bin"] = DATA
    monkeypatch.setattr(os, "open", watched)
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    assert not [path for path in opened if path.startswith("/tmp/tmp")]


def test_a_source_that_breaks_off_is_gone_on_with(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [1_000_000]
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    assert (project.directory / "set.bin").read_bytes() == DATA


def test_a_source_that_changes_in_the_middle_leaves_nothing(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [1_000_000]
    web.change_after = ("/data.bin", os.urandom(3_000_000))
    answer = project("import-url", f"{web.url}/data.bin", "set.bin")
    assert answer.code == 14
    assert "has changed since" in answer.err
    assert not (project.directory / "set.bin").exists()
    assert project.ok("op", "log").out.count("import-url:") == 0
    assert "set.bin" not in project.ok("status").out


def test_a_reference_is_absent_until_it_is_wanted(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    project.ok("import-url", "--reference", f"{web.url}/data.bin", "set.bin")
    assert [method for method, _, _ in web.requests] == ["HEAD"]
    project.ok("commit", "-q", "-m", "set")
    assert not (project.directory / "set.bin").exists()
    assert "clean" in project.ok("status").out
    assert project.ok("ls", "-l").out.split()[-4:-2] == ["reference", "3000000"]
    assert f"Reference {web.url}/data.bin" in project.ok("show").out
    assert project.ok("cat", "HEAD:set.bin").raw == DATA


def test_all_below_a_prefix(project: CommandLine, bucket: str):
    answer = project.ok("import-url", "--prefix", f"s3://{bucket}/d", "copies", "--json").json
    assert (answer["files"], answer["size"], answer["reference"]) == (3, len(DATA) + 6, False)
    project.ok("import-url", "--prefix", f"s3://{bucket}/d/", "refs", "--reference")
    project.ok("commit", "-q", "-m", "both")
    listed = project.ok("ls", "-r").out.split()
    assert [path for path in listed if path.startswith("refs/")] == [
        "refs/big.bin", "refs/one.txt", "refs/sub/two.txt",
    ]  # fmt: skip
    assert (project.directory / "copies/sub/two.txt").read_bytes() == b"two"
    assert not (project.directory / "refs").exists()
    assert "clean" in project.ok("status").out


def test_empty_objects_that_stand_for_folders(project: CommandLine, bucket: str, seaweed: Seaweed):
    for key in ("m/", "m/sub/"):
        seaweed.client().put_object(Bucket=bucket, Key=key, Body=b"")
    seaweed.client().put_object(Bucket=bucket, Key="m/sub/x", Body=b"x")
    project.ok("import-url", "--prefix", f"s3://{bucket}/m", "m")
    assert [p.name for p in (project.directory / "m").rglob("*") if p.is_file()] == ["x"]


def test_bad_input_changes_nothing(project: CommandLine, bucket: str):
    (project.directory / "kept.txt").write_text("kept")
    project.ok("commit", "-q", "-m", "kept")
    (project.directory / "taken.txt").write_text("taken")
    before = project.ok("op", "log").out
    for words, said in (
        ((f"s3://{bucket}/none", "x"), "nothing at"),
        (("--prefix", f"s3://{bucket}/none", "x"), "nothing below"),
        (("--prefix", "s3://no-such-bucket/d", "x"), "no bucket"),
        ((f"s3://{bucket}/d/one.txt", "taken.txt"), "stands in the way"),
        ((f"s3://{bucket}/d/one.txt", "kept.txt"), "there already"),
        ((f"s3://{bucket}/d/one.txt", ".dsvc/x"), "no path"),
        ((f"s3://{bucket}/d/one.txt", "kept.txt/below"), "stands in the way"),
        (("--prefix", "https://host/x", "x"), "does not list"),
        (("--reference", "https://host/x?X-Amz-Signature=1", "x"), "signature"),
        (("--reference", "--copy", f"s3://{bucket}/d/one.txt", "x"), "exclude"),
        (("ftp://host/x", "x"), "nothing can be imported"),
    ):
        answer = project("import-url", *words)
        assert answer.code in {2, 3, 14}, words
        assert said in answer.err
    assert project.ok("op", "log").out == before
    here = sorted(p.name for p in project.directory.iterdir() if not p.name.startswith("."))
    assert here == ["kept.txt", "taken.txt"]


def test_refused_credentials(project: CommandLine, bucket: str):
    project.environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    answer = project("import-url", f"s3://{bucket}/d/one.txt", "one.txt")
    assert answer.code == 14
    assert "access was denied" in answer.err


def test_a_server_that_says_too_little_for_a_reference(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    web.etags = web.modified = False
    answer = project("import-url", "--reference", f"{web.url}/data.bin", "set.bin")
    assert answer.code == 14
    assert "tells its versions apart" in answer.err
    web.lengths = False
    assert "how long it is" in project("import-url", "--reference", f"{web.url}/data.bin", "set.bin").err
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    assert (project.directory / "set.bin").read_bytes() == DATA


def test_undo_takes_an_import_back(project: CommandLine, bucket: str, tmp_path: Path):
    (project.directory / "a.txt").write_text("a")
    project.ok("commit", "-q", "-m", "a")
    project.ok("import-url", "--prefix", f"s3://{bucket}/d", "copies")
    project.ok("undo")
    assert not (project.directory / "copies").exists()
    assert "clean" in project.ok("status").out


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_WAIT", 0)


@pytest.mark.usefixtures("impatient")
def test_an_import_that_broke_off_goes_on_where_it_stopped(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [1_500_000, *[0] * 9]  # the server is gone then
    answer = project("import-url", f"{web.url}/data.bin", "set.bin")
    assert answer.code == 14
    assert "goes on after the 1,500,000 bytes that came" in answer.err
    assert not (project.directory / "set.bin").exists()
    assert "set.bin" not in project.ok("status").out
    web.break_after = []
    web.requests.clear()
    project.ok("gc", "-q")  # keeps it
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    assert [wanted for method, _, wanted in web.requests if method == "GET"] == ["bytes=1500000-"]
    assert (project.directory / "set.bin").read_bytes() == DATA
    project.ok("commit", "-q", "-m", "set")
    project.ok("fsck", "-q")


@pytest.mark.usefixtures("impatient")
def test_what_came_of_another_version_is_not_gone_on_with(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    web.break_after = [1_500_000, *[0] * 9]
    assert project("import-url", f"{web.url}/data.bin", "set.bin").code == 14
    web.break_after = []
    web.files["/data.bin"] = new = os.urandom(3_000_000)
    web.requests.clear()
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    assert [wanted for method, _, wanted in web.requests if method == "GET"] == [None]
    assert (project.directory / "set.bin").read_bytes() == new


@pytest.mark.usefixtures("impatient")
def test_references_go_on_where_they_stopped(project: CommandLine, web: Web):
    web.files["/data.bin"] = DATA
    project.ok("import-url", "--reference", f"{web.url}/data.bin", "set.bin")
    project.ok("commit", "-q", "-m", "set")
    web.break_after = [1_500_000, *[0] * 9]
    assert "goes on after" in project("data", "get").err
    web.break_after = []
    web.requests.clear()
    project.ok("data", "get", "-q")
    assert [wanted for method, _, wanted in web.requests if method == "GET"] == ["bytes=1500000-"]
    assert (project.directory / "set.bin").read_bytes() == DATA


def test_an_interrupted_import_keeps_what_came(project: CommandLine, web: Web, tmp_path: Path):
    web.files["/data.bin"] = DATA
    web.stall_after = 2_000_000
    words = [sys.executable, "-m", "dsvc", "import-url", f"{web.url}/data.bin", "set.bin"]
    process = subprocess.Popen(words, cwd=project.directory, env=project.environment, stderr=subprocess.PIPE, text=True)
    assert web.stalled.wait(60)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    web.stall_after = None
    web.go_on.set()
    assert (process.returncode, "interrupted" in said) == (130, True), said
    web.requests.clear()
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    (wanted,) = [wanted for method, _, wanted in web.requests if method == "GET"]
    assert wanted is not None
    assert (project.directory / "set.bin").read_bytes() == DATA


def test_a_killed_import_goes_on_after_what_came(project: CommandLine, web: Web):
    web.files["/data.bin"] = data = os.urandom(24 << 20)
    web.stall_after = 20 << 20
    words = [sys.executable, "-m", "dsvc", "import-url", f"{web.url}/data.bin", "set.bin"]
    process = subprocess.Popen(words, cwd=project.directory, env=project.environment)
    arriving = project.directory / ".dsvc/worktree/arriving"
    deadline = time.monotonic() + 60
    while not any(journal.stat().st_size for journal in arriving.glob("*/*.journal")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    web.stall_after = None
    web.go_on.set()
    web.requests.clear()
    assert "set.bin" not in project.ok("status").out
    project.ok("gc", "-q")  # keeps it
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    (wanted,) = [wanted for method, _, wanted in web.requests if method == "GET"]
    assert wanted is not None
    assert int(wanted.removeprefix("bytes=").removesuffix("-")) >= 4 << 20
    assert (project.directory / "set.bin").read_bytes() == data
    assert not arriving.exists()
    project.ok("commit", "-q", "-m", "set")
    project.ok("fsck", "-q")


def test_a_large_object_is_written_as_it_comes(project: CommandLine, web: Web, monkeypatch: pytest.MonkeyPatch):
    """The checkout has nothing to read again."""
    web.files["/data.bin"] = data = os.urandom(12 << 20)
    monkeypatch.setattr(creating, "read_in_order", None)
    project.ok("import-url", f"{web.url}/data.bin", "set.bin")
    project.ok("import-url", "--reference", f"{web.url}/data.bin", "later.bin")
    project.ok("commit", "-q", "-m", "both")
    project.ok("data", "get", "later.bin")
    assert (project.directory / "set.bin").read_bytes() == (project.directory / "later.bin").read_bytes() == data
    assert (project.directory / "set.bin").stat().st_mode & 0o200
    web.files["/data.bin"] = newer = os.urandom(12 << 20)
    project.ok("data", "update", "set.bin")
    assert (project.directory / "set.bin").read_bytes() == newer
    assert not (project.directory / ".dsvc/worktree/arriving").exists()


@pytest.mark.parametrize("link", ["reflink", "hardlink"])
def test_where_files_are_kept_whole_a_large_object_is_written_once(
    cli: CommandLine, web: Web, request: pytest.FixtureRequest, link: str
):
    if link == "reflink":
        cli.directory = request.getfixturevalue("cloning_disk")
    cli.ok("init", "-q", "--whole-files")
    if link == "hardlink":
        cli.ok("config", "store.link", "hardlink")
    web.files["/data.bin"] = data = os.urandom(12 << 20)
    cli.ok("import-url", f"{web.url}/data.bin", "set.bin")
    cli.ok("commit", "-q", "-m", "set")
    found = {row["path"]: row["shared_bytes"] for row in cli.ok("data", "usage", "--json").json["paths"]}
    assert found["set.bin"] == len(data)  # of the store's bytes
    file = cli.directory / "set.bin"
    assert (file.read_bytes() == data, bool(file.stat().st_mode & 0o200)) == (True, link == "reflink")
    packs = sum(p.stat().st_size for p in (cli.directory / ".dsvc/packs").rglob("*") if p.is_file())
    assert packs < len(data) + 1_000_000
    cli.ok("fsck", "-q")
