"""What goes wrong with a bucket is named, with what to do; what passes is waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.errors import S3Error
from dsvc.remotes.s3.settings import S3Settings
from dsvc.storage.backend import BlobMissingError
from tests.remotes.conftest import OpenBucket
from tests.servers.ports import free_port
from tests.servers.proxy import Answer, CutHead, Proxy
from tests.servers.seaweed import Seaweed

ANSWERS = {
    "expired": (Answer(400, "ExpiredToken", "The provided token has expired."), "credentials have expired", "sso"),
    "clock": (Answer(403, "RequestTimeTooSkewed"), "clock differs too much", "timedatectl"),
    "access denied": (Answer(403, "AccessDenied"), "access was denied while reading packs/aa", "s3:GetObject"),
    "credentials": (Answer(403, "SignatureDoesNotMatch"), "credentials are wrong", "AWS_SECRET_ACCESS_KEY"),
    "no bucket": (Answer(404, "NoSuchBucket"), "no such bucket", "endpoint"),
    "full": (Answer(507, "XMinioStorageFull", "Storage backend has reached its limit"), "no room left", "quota"),
    "refused": (Answer(400, "AuthorizationHeaderMalformed", "the region is wrong"), "the region is wrong", "region"),
}


@pytest.mark.parametrize("reason", ANSWERS)
def test_a_refusal_is_named_at_once(opened: OpenBucket, proxy: Proxy, reason: str):
    answer, text, hint = ANSWERS[reason]
    proxy.harm(answer, times=1000)
    with pytest.raises(S3Error, match=text) as refused:
        opened().get("packs/aa")
    assert refused.value.reason == reason
    assert refused.value.details["reason"] == reason
    assert hint in (refused.value.hint or "")
    assert refused.value.exit_code == 14
    assert len(proxy.requests) == 1, "a refusal is not asked for again"


@pytest.mark.parametrize("answer", [Answer(503, "SlowDown"), Answer(500, "InternalError"), "cut after", "half"])
def test_what_passes_is_waited_for(opened: OpenBucket, proxy: Proxy, answer):
    opened().put("packs/aa", b"content")
    proxy.harm(answer, "GET", times=2)
    assert opened().get("packs/aa") == b"content"
    assert proxy.count("GET") == 3


@pytest.mark.parametrize("header", ["Content-Length", "Last-Modified", "Content-Type", "ETag"])
def test_an_answer_whose_head_breaks_off_is_asked_for_again(opened: OpenBucket, proxy: Proxy, header: str):
    backend = opened()
    backend.put("packs/aa", b"content")
    for method, ask in (
        ("GET", lambda: backend.get("packs/aa")),
        ("HEAD", lambda: backend.get("packs/aa", offset=7, length=0)),
    ):
        seen = proxy.count(method)
        proxy.harm(CutHead(header), method, times=2)
        assert ask() == (b"content" if method == "GET" else b"")
        assert proxy.count(method) == seen + 3


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_size_that_breaks_off_is_asked_for_again(opened: OpenBucket, proxy: Proxy, after: int):
    """Within its digits, behind them, and behind their line: the head is not at its end yet."""
    backend = opened()
    backend.put("packs/aa", bytes(20))
    seen = proxy.count("HEAD")
    proxy.harm(CutHead("Content-Length", after), "HEAD", times=2)
    assert backend.get("packs/aa", offset=20, length=0) == b"", "not damaged: it has 20 bytes, not two"
    assert proxy.count("HEAD") == seen + 3


def test_a_listing_that_breaks_off_is_asked_for_again(opened: OpenBucket, proxy: Proxy):
    backend = opened()
    backend.put("packs/aa", b"content")
    proxy.harm(CutHead("Content-Length"), "GET", "list-type")
    assert list(backend.list("packs/")) == [("packs/aa", 7)]


@pytest.mark.parametrize("cut", [CutHead("Content-Length"), CutHead("ETag"), CutHead("ETag", 9), CutHead("X-Last")])
def test_a_part_whose_answer_breaks_off_is_sent_again(opened: OpenBucket, proxy: Proxy, tmp_path: Path, cut: CutHead):
    source = tmp_path / "source"
    content = os.urandom(11 << 20)
    source.write_bytes(content)
    proxy.harm(cut, "PUT", "partNumber=2")
    backend = opened(part_size=5 << 20)
    backend.put("packs/aa", source)
    assert proxy.count("PUT", "partNumber=2") == 2
    assert backend.get("packs/aa") == content


@pytest.mark.parametrize(
    "harm", ["cut after", "fail after", Answer(503, "SlowDown"), Answer(409, "ConditionalRequestConflict")]
)
def test_a_blob_whose_answer_is_lost_is_stored_once(opened: OpenBucket, proxy: Proxy, tmp_path: Path, harm):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    proxy.harm(harm, "PUT", "packs/")
    backend = opened()
    backend.put("packs/aa", source)
    assert not source.exists()
    assert backend.get("packs/aa") == b"content"


def test_a_store_that_stays_busy_is_named(opened: OpenBucket, proxy: Proxy):
    proxy.harm(Answer(503, "SlowDown"), times=1000)
    with pytest.raises(S3Error, match="asks for fewer requests") as refused:
        opened(attempts=2).get("packs/aa")
    assert refused.value.reason == "slow down"


def test_a_busy_store_gets_fewer_requests_at_once(opened: OpenBucket, proxy: Proxy):
    backend = opened(connections=16)
    backend.put("packs/aa", b"content")
    assert backend.requests_at_once == 16
    proxy.harm(Answer(503, "SlowDown"), "GET", times=2)
    assert backend.get("packs/aa") == b"content"
    assert 4 <= backend.requests_at_once < 8, "halved twice"
    for _ in range(40):
        backend.get("packs/aa")
    assert backend.requests_at_once > 8, "and recovers"


def test_wrong_keys(seaweed: Seaweed, bucket: str):
    unknown = open_s3(S3Settings(bucket), environment=seaweed.environment | {"AWS_ACCESS_KEY_ID": "nobody"})
    with pytest.raises(S3Error, match="credentials are wrong"):
        unknown.read_cell("head")
    wrong = open_s3(S3Settings(bucket), environment=seaweed.environment | {"AWS_SECRET_ACCESS_KEY": "guess"})
    with pytest.raises(S3Error, match="credentials are wrong"):
        wrong.read_cell("head")


def test_an_account_that_may_only_read(seaweed: Seaweed, bucket: str):
    writer = open_s3(S3Settings(bucket), environment=seaweed.environment)
    writer.put("packs/aa", b"content")
    assert writer.swap_cell("head", None, b"0")
    reader = open_s3(S3Settings(bucket), environment=seaweed.environment | {"AWS_ACCESS_KEY_ID": "reader"})
    assert reader.get("packs/aa") == b"content"
    assert reader.read_cell("head") == b"0"
    for forbidden in (
        lambda: reader.put("packs/bb", b""),
        lambda: reader.delete("packs/aa"),
        lambda: reader.swap_cell("head", b"0", b"1"),
    ):
        with pytest.raises(S3Error, match="access was denied"):
            forbidden()
    assert writer.read_cell("head") == b"0"


def test_a_bucket_that_is_not_there(seaweed: Seaweed):
    backend = open_s3(S3Settings("vanished"), environment=seaweed.environment | {"AWS_ACCESS_KEY_ID": "reader"})
    for asked in (
        lambda: backend.get("packs/aa"),
        lambda: backend.missing(["packs/aa"]),
        lambda: backend.missing([f"packs/{number}" for number in range(100)]),
        lambda: list(backend.list("packs/")),
        lambda: backend.read_cell("head"),
    ):
        with pytest.raises(S3Error, match="no such bucket"):
            asked()


def test_nobody_listens(seaweed: Seaweed):
    backend = open_s3(S3Settings("bucket", endpoint=f"http://127.0.0.1:{free_port()}"), environment=seaweed.environment)
    for asked in (lambda: backend.get("packs/aa"), lambda: backend.swap_cell("head", None, b"")):
        with pytest.raises(S3Error, match="cannot be reached") as refused:
            asked()
        assert refused.value.reason == "unreachable"


def test_a_host_that_has_no_address(seaweed: Seaweed):
    backend = open_s3(S3Settings("bucket", endpoint="http://no-such-host.invalid"), environment=seaweed.environment)
    with pytest.raises(S3Error, match="cannot be reached"):
        backend.get("packs/aa")


def test_a_server_that_hangs(opened: OpenBucket, seaweed: Seaweed):
    backend = opened(attempts=1, read_timeout=1)
    assert backend.swap_cell("head", None, b"0")
    seaweed.stop()
    try:
        with pytest.raises(S3Error, match="did not answer in time while reading packs/aa") as refused:
            backend.get("packs/aa")
        assert refused.value.reason == "time-out"
    finally:
        seaweed.go_on()
    assert opened().read_cell("head") == b"0"


def test_a_hang_that_passes(opened: OpenBucket, seaweed: Seaweed, proxy: Proxy):
    from threading import Timer

    backend = opened(read_timeout=1, attempts=20)
    assert backend.swap_cell("head", None, b"0")
    seaweed.stop()
    waking = Timer(2.5, seaweed.go_on)
    waking.start()
    try:
        assert backend.swap_cell("head", b"0", b"1")
    finally:
        waking.join()
        seaweed.go_on()
    assert opened().read_cell("head") == b"1"


def test_a_certificate_that_nobody_vouches_for(seaweed: Seaweed, proxy: Proxy):
    endpoint = proxy.endpoint.replace("http://", "https://")  # it speaks no TLS at all
    backend = open_s3(S3Settings("bucket", endpoint=endpoint, attempts=1), environment=seaweed.environment)
    with pytest.raises(S3Error) as refused:
        backend.get("packs/aa")
    assert refused.value.reason == "unreachable"


def test_no_credentials(tmp_path: Path, seaweed: Seaweed):
    environment = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": seaweed.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.raises(S3Error, match="no credentials were found") as refused:
        open_s3(S3Settings("bucket"), environment=environment).read_cell("head")
    assert "AWS_PROFILE" in (refused.value.hint or "")


def test_an_unknown_profile(tmp_path: Path):
    with pytest.raises(S3Error, match=r"profile \(nobody\) could not be found"):
        open_s3(S3Settings("bucket", profile="nobody"), environment={"HOME": str(tmp_path)})


def test_without_botocore_the_extra_is_named():
    script = """
import sys
sys.modules["botocore"] = None
from dsvc.errors import RequestError
from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.settings import S3Settings
try:
    open_s3(S3Settings("bucket"), environment={})
except RequestError as error:
    print(error.message, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", script], env=os.environ, check=True, capture_output=True, text=True)
    assert done.stdout == "s3:// needs botocore, which is not installed pip install 'dsvc[s3]'\n"


def test_a_blob_that_is_not_there_says_where(opened: OpenBucket, bucket: str):
    with pytest.raises(BlobMissingError, match=f"packs/aa is missing from s3://{bucket}/project"):
        opened().get("packs/aa")


def test_a_wrong_endpoint_is_not_tried_for_long(seaweed: Seaweed):
    backend = open_s3(S3Settings("bucket", endpoint="http://127.0.0.1:9"), environment=seaweed.environment)
    before = time.monotonic()
    with pytest.raises(S3Error):
        backend.get("packs/aa")
    assert time.monotonic() - before < 30
