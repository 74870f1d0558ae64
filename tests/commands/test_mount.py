"""`dsvc mount` and `umount`, on a real FUSE."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.together import together

BIG = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def project(cli):
    cli.ok("init", "-q")
    data = cli.directory / "data"
    data.mkdir()
    (data / "big.bin").write_bytes(BIG)
    (data / "run.sh").write_text("#!/bin/sh\necho hello\n")
    (data / "run.sh").chmod(0o755)
    os.symlink("big.bin", data / "link")
    (cli.directory / os.fsdecode(b"odd \xff name")).write_text("odd")
    cli.ok("commit", "-qm", "first")
    (data / "big.bin").unlink()
    cli.ok("commit", "-qm", "second")
    return cli


@pytest.fixture
def serve(project, tmp_path) -> Iterator[Callable[..., tuple[Path, subprocess.Popen]]]:
    """Mount a revision in a process of its own; whatever is left is ended by its id."""
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError, AttributeError) as error:
        pytest.skip(f"FUSE cannot be used: {error}")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse is missing or may not be used here")
    started: list[tuple[Path, subprocess.Popen]] = []

    def start(*words: str, directory: Path | None = None) -> tuple[Path, subprocess.Popen]:
        place = tmp_path / f"mounted{len(started)}"
        place.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "dsvc", "mount", *words, str(place)],
            cwd=directory or project.directory, env=project.environment, stderr=subprocess.PIPE, text=True,
        )
        line = process.stderr.readline()
        if "Operation not permitted" in line:
            process.wait()
            pytest.skip(f"no right to mount: {line}")
        assert "ends it" in line, line
        started.append((place, process))
        return place, process

    yield start
    for place, process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        if os.path.ismount(place) or _is_stale(place):
            subprocess.run(["fusermount", "-u", "-z", str(place)], check=False)


def _is_stale(place: Path) -> bool:
    try:
        place.stat()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def test_files_are_there_and_cannot_be_changed(serve, project):
    place, process = serve("HEAD~1")
    assert sorted(os.listdir(os.fsencode(place))) == [b".dsvcignore", b"data", b"odd \xff name"]
    assert (place / "data/big.bin").read_bytes() == BIG
    assert (place / "data/link").read_bytes() == BIG
    assert os.readlink(place / "data/link") == "big.bin"
    assert subprocess.run([place / "data/run.sh"], check=True, capture_output=True).stdout == b"hello\n"
    status = (place / "data/big.bin").stat()
    assert (status.st_size, status.st_mode & 0o777) == (len(BIG), 0o444)
    assert time.gmtime(status.st_mtime).tm_year == 2026
    for attempt in ((place / "new").touch, (place / "data/run.sh").unlink):
        with pytest.raises(OSError, match="Read-only"):
            attempt()
    with pytest.raises(FileNotFoundError):
        (place / "missing").stat()

    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = random.Random(seed)
        with open(place / "data/big.bin", "rb", buffering=0) as file:
            for _ in range(40):
                at = file.seek(rng.randrange(len(BIG)))
                wrong.extend([at] if file.read(5000) != BIG[at : at + 5000] else [])

    together(read)
    assert not wrong
    assert [m["path"] for m in project.ok("mount", "--json").json["mounts"]] == [str(place)]
    process.send_signal(signal.SIGINT)  # Ctrl-C
    assert process.wait(20) == 0
    assert not os.path.ismount(place)


def test_umount_ends_the_process(serve, project):
    place, process = serve("HEAD")
    assert project.ok("umount", str(place), "--json").json["unmounted"] == [str(place)]
    assert process.wait(20) == 0
    answer = project("umount", str(place))
    assert answer.code != 0
    assert "is no mounted commit" in answer.err


def test_a_mount_whose_process_was_killed_is_named_and_cleared_away(serve, project):
    place, process = serve("HEAD")
    process.kill()
    process.wait()
    answer = project("mount", "HEAD", str(place))
    assert answer.code != 0
    assert "is still a mount, and the process that served it is gone" in answer.err
    assert f"dsvc umount {place}" in answer.err
    assert project.ok("mount", "--json").json["mounts"][0]["stale"] is True
    project.ok("umount", str(place))
    assert os.listdir(place) == []


def test_damage_is_an_input_output_error_and_is_told(serve, project):
    place, process = serve("HEAD~1")
    for pack in (project.directory / ".dsvc/store/packs").iterdir():
        if pack.stat().st_size > 2_000_000:
            pack.chmod(0o644)
            with pack.open("r+b") as file:
                file.seek(1_000_000)
                file.write(b"damage")
    with pytest.raises(OSError, match="Input/output"):
        (place / "data/big.bin").read_bytes()
    process.send_signal(signal.SIGINT)
    assert "damaged" in process.communicate(timeout=20)[1]


def test_a_partial_clone_fetches_what_is_read(serve, project, tmp_path):
    project.ok("clone", "--no-data", str(project.directory), str(tmp_path / "partial"))
    place, _ = serve("HEAD~1", directory=tmp_path / "partial")
    assert (place / "data/big.bin").stat().st_size == len(BIG)
    assert (place / "data/big.bin").read_bytes() == BIG


def test_where_it_cannot_be_mounted(project, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (project.directory / "inside").mkdir()
    for words, message in (
        (("HEAD", str(tmp_path / "full")), "not empty"),
        (("HEAD", str(tmp_path / "missing")), "is no folder"),
        (("HEAD", "inside"), "lies in the working copy"),
        (("nothing", str(tmp_path)), "nothing"),
        (("HEAD",), "mount it where?"),
    ):
        answer = project("mount", *words)
        assert answer.code in (2, 3), answer.err
        assert message in answer.err
    assert project.ok("mount").out == ""
