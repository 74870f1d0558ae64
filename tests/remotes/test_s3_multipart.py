"""Large files in parts: cut off at any place, they go on where they were."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dsvc.remotes.s3.backend import S3Backend, open_s3
from dsvc.remotes.s3.errors import S3Error
from dsvc.remotes.s3.multipart import part_size
from dsvc.remotes.s3.settings import S3Settings
from tests.commands.conftest import CommandLine, cli
from tests.remotes.conftest import OpenBucket
from tests.servers.proxy import Answer, Proxy
from tests.servers.seaweed import Seaweed

__all__ = ["cli"]

MIB = 1 << 20
PART = 5 * MIB
SIZE = 11 * PART + 12_345
SMALL = {"part_size": PART, "parallel_parts": 3}


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZE))
    return path


def parts_sent(proxy: Proxy) -> int:
    return sum(one.method == "PUT" and "partNumber=" in one.target and one.size > 0 for one in proxy.requests)


def unfinished(backend: S3Backend) -> list[str]:
    return [upload.key for upload in backend.unfinished_uploads()]


def test_a_large_file_goes_up_in_parts(opened: OpenBucket, proxy: Proxy, large: Path):
    content = large.read_bytes()
    heard: list[int] = []
    backend = opened(on_bytes=heard.append, **SMALL)
    backend.put("packs/aa", large)
    assert not large.exists()
    assert parts_sent(proxy) == 12
    assert sum(heard) == SIZE
    assert backend.get("packs/aa") == content
    assert backend.get("packs/aa", offset=PART - 10, length=20) == content[PART - 10 : PART + 10]
    assert unfinished(backend) == []


def test_a_file_that_is_there_is_not_sent(opened: OpenBucket, proxy: Proxy, large: Path):
    backend = opened(**SMALL)
    backend.put("packs/aa", b"first")
    backend.put("packs/aa", large)
    assert not large.exists()
    assert parts_sent(proxy) == 0
    assert backend.get("packs/aa") == b"first"


def test_a_file_that_appears_meanwhile_is_kept(opened: OpenBucket, proxy: Proxy, large: Path):
    backend, other = opened(**SMALL), opened()
    proxy.harm(lambda: other.put("packs/aa", b"first"), "PUT", "partNumber=7")
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == b"first"
    assert unfinished(backend) == []


@pytest.mark.parametrize("cut_at", [0, 1, 5, 11])
def test_an_upload_goes_on_where_it_was_cut_off(opened: OpenBucket, proxy: Proxy, large: Path, cut_at: int):
    content = large.read_bytes()
    proxy.harm("cut before", "PUT", "partNumber=", skip=cut_at, times=1000)
    with pytest.raises(S3Error, match=r"the connection to .* broke while sending a part"):
        opened(attempts=1, **SMALL).put("packs/aa", large)
    assert large.read_bytes() == content, "what was not stored stays"
    proxy.heal()
    proxy.requests.clear()
    backend = opened(**SMALL)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == content
    assert parts_sent(proxy) <= 12 - cut_at + 3, "at most a part a worker is sent again"
    assert unfinished(backend) == []


def test_the_server_is_killed_and_comes_back(opened: OpenBucket, proxy: Proxy, seaweed: Seaweed, large: Path):
    content = large.read_bytes()

    def killed() -> None:
        seaweed.kill()

    proxy.harm(killed, "PUT", "partNumber=7")
    try:
        with pytest.raises(S3Error) as broken:
            opened(attempts=2, **SMALL).put("packs/aa", large)
        assert broken.value.reason == "unreachable"
    finally:
        seaweed.start()
    assert large.exists()
    backend = opened(**SMALL)
    proxy.requests.clear()
    backend.put("packs/aa", large)
    assert parts_sent(proxy) <= 6 + 3
    assert backend.get("packs/aa") == content


def test_a_short_outage_is_not_noticed(opened: OpenBucket, proxy: Proxy, seaweed: Seaweed, large: Path):
    content = large.read_bytes()

    def killed() -> None:
        seaweed.kill()
        seaweed.start()

    proxy.harm(killed, "PUT", "partNumber=6")
    backend = opened(attempts=20, **SMALL)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == content
    assert parts_sent(proxy) >= 12


def test_a_changed_file_does_not_use_old_parts(opened: OpenBucket, proxy: Proxy, large: Path):
    proxy.harm("cut before", "PUT", "partNumber=9", times=1000)
    with pytest.raises(S3Error):
        opened(attempts=1, **SMALL).put("packs/aa", large)
    proxy.heal()
    other = bytearray(large.read_bytes())
    other[3 * PART : 3 * PART + 1] = bytes([other[3 * PART] ^ 1])
    large.write_bytes(other)
    backend = opened(**SMALL)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == other


def test_parts_of_another_size_are_not_used(opened: OpenBucket, proxy: Proxy, large: Path):
    content = large.read_bytes()
    proxy.harm("cut before", "PUT", "partNumber=9", times=1000)
    with pytest.raises(S3Error):
        opened(attempts=1, **SMALL).put("packs/aa", large)
    proxy.heal()
    backend = opened(part_size=6 * MIB)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == content


def test_an_upload_of_a_longer_key_is_another_one(opened: OpenBucket, proxy: Proxy, large: Path, tmp_path: Path):
    content = large.read_bytes()
    (tmp_path / "copy").write_bytes(content)
    proxy.harm("cut before", "PUT", "partNumber=12", times=1000)
    with pytest.raises(S3Error):
        opened(attempts=1, **SMALL).put("packs/aa11", tmp_path / "copy")
    proxy.heal()
    backend = opened(**SMALL)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == content
    assert unfinished(backend) == ["project/packs/aa11"]


def test_two_send_the_same_file_at_once(opened: OpenBucket, proxy: Proxy, large: Path, tmp_path: Path):
    content = large.read_bytes()
    copies = [tmp_path / f"copy{number}" for number in range(3)]
    for copy in copies:
        copy.write_bytes(content)
    failures: list[Exception] = []

    def send(copy: Path) -> None:
        try:
            opened(**SMALL).put("packs/aa", copy)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert opened().get("packs/aa") == content
    assert not any(copy.exists() for copy in copies)


@pytest.mark.parametrize(
    "harm", ["cut after", "fail after", Answer(503, "SlowDown"), Answer(409, "ConditionalRequestConflict")]
)
def test_a_lost_answer_to_the_last_request(opened: OpenBucket, proxy: Proxy, large: Path, harm):
    content = large.read_bytes()
    proxy.harm(harm, "POST", "uploadId=")
    backend = opened(**SMALL)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == content
    assert unfinished(backend) == []


def test_an_upload_that_gc_removed_is_begun_anew(opened: OpenBucket, proxy: Proxy, large: Path):
    content = large.read_bytes()
    gc = opened()
    later = datetime.now(UTC) + timedelta(hours=1)
    proxy.harm(lambda: gc.abort_uploads(begun_before=later), "PUT", "partNumber=5")
    backend = opened(**SMALL)
    backend.put("packs/aa", large)
    assert backend.get("packs/aa") == content


def test_abandoned_uploads_are_found_and_removed(opened: OpenBucket, proxy: Proxy, large: Path):
    proxy.harm("cut before", "PUT", "partNumber=9", times=1000)
    with pytest.raises(S3Error):
        opened(attempts=1, **SMALL).put("packs/aa", large)
    proxy.heal()
    backend = opened()
    assert unfinished(backend) == ["project/packs/aa"]
    now = datetime.now(UTC)
    assert backend.abort_uploads(begun_before=now - timedelta(days=1)) == 0
    assert backend.abort_uploads(begun_before=now + timedelta(days=1)) == 1
    assert unfinished(backend) == []
    assert backend.missing(["packs/aa"]) == ["packs/aa"]


def test_memory_does_not_grow_with_the_file(seaweed: Seaweed, bucket: str, tmp_path: Path):
    import subprocess
    import sys

    script = """
import resource, sys
from pathlib import Path
from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
import os
backend = open_s3(S3Settings(sys.argv[1], endpoint=os.environ["AWS_ENDPOINT_URL_S3"]), environment=os.environ)
backend.put("packs/small", b"x" * 1000)
backend.get("packs/small")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
backend.put("packs/large", Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    large = tmp_path / "large"
    with large.open("wb") as file:
        for _ in range(20):
            file.write(os.urandom(8 * MIB))
    done = subprocess.run(
        [sys.executable, "-c", script, bucket, str(large)],
        env=os.environ | seaweed.environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert int(done.stdout) < 48 * 1024, "KiB more for a file of 160 MiB"
    assert open_s3(S3Settings(bucket), environment=seaweed.environment).missing(["packs/large"]) == []


def test_parts_are_so_large_that_any_file_fits():
    for size in (1, 100 * MIB, 10**12, 5 * 10**13):
        step = part_size(size, 16 * MIB)
        assert step >= 16 * MIB
        assert -(-size // step) <= 10_000
        assert step <= 5 << 30
    assert part_size(100 * MIB, 1) == 5 * MIB


def test_gc_ends_them_after_a_week(
    opened: OpenBucket, proxy: Proxy, seaweed: Seaweed, bucket: str, large: Path, cli: CommandLine
) -> None:
    proxy.harm("cut before", "PUT", "partNumber=9", times=1000)
    with pytest.raises(S3Error):
        opened(attempts=1, **SMALL).put("packs/aa", large)
    proxy.heal()
    person = CommandLine(cli.directory, {**cli.environment, **seaweed.environment})
    person.ok("init", "-q")
    (cli.directory / "a").write_text("a")
    person.ok("commit", "-q", "-m", "first")
    person.ok("remote", "add", "origin", f"s3://{bucket}/project")
    person.ok("push", "-q", "origin", "main")
    assert person.ok("gc", "--remote", "origin", "--json").json["uploads_ended"] == 0
    backend = opened()
    assert unfinished(backend) == ["project/packs/aa"]
    person.environment["DSVC_DATE"] = (datetime.now(UTC) + timedelta(days=8)).isoformat()
    planned = person.ok("gc", "--remote", "origin", "--dry-run").out
    assert "1 upload that nobody went on with for a week would be ended" in planned
    assert unfinished(backend) == ["project/packs/aa"]
    assert person.ok("gc", "--remote", "origin", "--json").json["uploads_ended"] == 1
    assert unfinished(backend) == []
    assert person("fsck", "--remote", "origin").code == 0
