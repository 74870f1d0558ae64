"""A store that ignores conditions on writes is found out, and serves one writer at most."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dsvc.remotes.s3.backend import S3Backend, check_conditional_writes, open_s3
from dsvc.remotes.s3.errors import UnconditionalStoreError
from dsvc.remotes.s3.settings import S3Settings
from dsvc.storage.conformance import CHECKS
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY


def connect(endpoint: str, **settings_of_it: Any) -> S3Backend:
    settings = S3Settings("bucket", "project", endpoint=endpoint, **settings_of_it)
    return open_s3(settings, environment={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})


def test_it_is_found_by_trying_and_leaves_nothing(rclone: str, tmp_path: Path):
    verdict = check_conditional_writes(connect(rclone))
    assert not verdict.kept
    assert verdict.found == "ignores the condition If-None-Match on writes"
    assert not [path for path in (tmp_path / "rclone").rglob("*") if path.is_file()]


def test_shared_writing_is_refused(rclone: str):
    backend = connect(rclone)
    with pytest.raises(UnconditionalStoreError, match="ignores the condition If-None-Match") as refused:
        backend.swap_cell("head", None, b"value")
    assert "--single-writer" in (refused.value.hint or "")
    assert refused.value.exit_code == 14
    assert backend.read_cell("head") is None


def test_a_single_writer_may_write(rclone: str):
    backend = connect(rclone, single_writer=True)
    assert backend.swap_cell("head", None, b"0")
    for number in range(3):
        assert backend.swap_cell("head", b"%d" % number, b"%d" % (number + 1))
        assert not backend.swap_cell("head", b"%d" % number, b"late")
    assert connect(rclone).read_cell("head") == b"3"


def test_what_a_single_writer_wrote_convinces_nobody(rclone: str):
    assert connect(rclone, single_writer=True).swap_cell("head", None, b"0")
    other = connect(rclone)
    assert other.read_cell("head") == b"0"
    with pytest.raises(UnconditionalStoreError):
        other.swap_cell("head", b"0", b"1")


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "races"])
def test_the_rest_of_the_contract_is_kept(name: str, rclone: str, tmp_path: Path):
    CHECKS[name](lambda: connect(rclone, single_writer=True), tmp_path)


def test_a_single_writer_may_write_large_files(rclone: str, tmp_path: Path):
    """This store's word for "no upload was begun in this bucket" is the error that there is no such upload."""
    source = tmp_path / "source"
    content = os.urandom(11 << 20)
    source.write_bytes(content)
    backend = connect(rclone, single_writer=True, part_size=5 << 20)
    backend.put("packs/aa", source)
    assert backend.get("packs/aa") == content
    assert list(backend.unfinished_uploads()) == []


def test_a_blob_that_is_there_is_not_written_again(rclone: str, tmp_path: Path):
    backend = connect(rclone)
    backend.put("packs/aa", b"first")
    backend.put("packs/aa", b"other")
    source = tmp_path / "source"
    source.write_bytes(b"third")
    backend.put("packs/aa", source)
    assert not source.exists()
    assert backend.get("packs/aa") == b"first"
