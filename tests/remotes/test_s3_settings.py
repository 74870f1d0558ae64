"""Settings, variables and files lead to the right requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsvc.remotes.s3.backend import open_s3
from dsvc.remotes.s3.errors import S3Error
from dsvc.remotes.s3.settings import BadS3SettingError, S3Settings
from tests.remotes.conftest import OpenBucket
from tests.servers.proxy import Proxy
from tests.servers.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed


@pytest.fixture
def home(tmp_path: Path, proxy: Proxy) -> Path:
    """A home folder with files as `aws configure` writes them."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        f"[team]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n"
    )
    (tmp_path / ".aws" / "config").write_text(
        f"[profile team]\nregion = eu-central-1\nendpoint_url = {proxy.endpoint}\n[default]\nregion = us-west-2\n"
    )
    return tmp_path


def signed_by(proxy: Proxy) -> str:
    """Key and region in the signature of the newest request."""
    credential = proxy.requests[-1].headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")
    return f"{credential[0]} {credential[2]}"


def test_a_profile_brings_keys_region_and_endpoint(home: Path, bucket: str, proxy: Proxy):
    backend = open_s3(S3Settings(bucket, profile="team"), environment={"HOME": str(home)})
    assert backend.read_cell("head") is None
    assert signed_by(proxy) == f"{ACCESS_KEY} eu-central-1"


def test_a_profile_from_the_environment(home: Path, bucket: str, proxy: Proxy):
    backend = open_s3(S3Settings(bucket), environment={"HOME": str(home), "AWS_PROFILE": "team"})
    assert backend.read_cell("head") is None
    assert signed_by(proxy) == f"{ACCESS_KEY} eu-central-1"


def test_a_profile_that_was_asked_for_comes_before_keys_of_the_environment(home: Path, bucket: str, proxy: Proxy):
    environment = {"HOME": str(home), "AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"}
    assert open_s3(S3Settings(bucket, profile="team"), environment=environment).read_cell("head") is None
    assert signed_by(proxy).startswith(ACCESS_KEY)


def test_files_elsewhere(home: Path, bucket: str, proxy: Proxy, tmp_path: Path):
    environment = {
        "HOME": str(tmp_path / "nobody"),
        "AWS_CONFIG_FILE": str(home / ".aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials"),
        "AWS_PROFILE": "team",
    }
    assert open_s3(S3Settings(bucket), environment=environment).read_cell("head") is None


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_the_endpoint_of_the_environment(variable: str, bucket: str, proxy: Proxy):
    environment = {variable: proxy.endpoint, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    backend = open_s3(S3Settings(bucket), environment=environment)
    assert backend.target.endpoint == proxy.endpoint
    assert backend.read_cell("head") is None
    ignored = open_s3(
        S3Settings(bucket, region="eu-west-1"),
        environment=environment | {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    )
    assert ignored.target.endpoint == "https://s3.eu-west-1.amazonaws.com"


def test_settings_come_before_the_environment(seaweed: Seaweed, bucket: str, proxy: Proxy):
    settings = S3Settings(bucket, endpoint=proxy.endpoint, region="eu-north-1")
    assert open_s3(settings, environment=seaweed.environment).read_cell("head") is None
    assert signed_by(proxy) == f"{ACCESS_KEY} eu-north-1"


def test_a_session_token_goes_along(seaweed: Seaweed, bucket: str, proxy: Proxy):
    environment = seaweed.environment | {"AWS_SESSION_TOKEN": "token"}
    backend = open_s3(S3Settings(bucket, endpoint=proxy.endpoint), environment=environment)
    try:
        backend.read_cell("head")
    except Exception:
        pass  # this server knows no sessions
    assert proxy.requests[-1].headers["X-Amz-Security-Token"] == "token"


def test_the_bucket_in_path_or_host(seaweed: Seaweed, proxy: Proxy, bucket: str):
    endpoint = proxy.endpoint.replace("127.0.0.1", "localhost")

    def asked(**settings: Any) -> str:
        wanted = S3Settings(bucket, endpoint=endpoint, attempts=1, **settings)
        try:
            open_s3(wanted, environment=seaweed.environment).read_cell("head")
        except S3Error as error:
            if error.reason == "unreachable":
                return str(error.__cause__)  # no name server knows BUCKET.localhost; the message has the URL
        return f"http://{proxy.requests[-1].headers['Host']}{proxy.requests[-1].target}"

    assert asked() == asked(addressing="path") == f"{endpoint}/{bucket}/cells/head"
    assert f"http://{bucket}.localhost:" in asked(addressing="virtual")


def test_storage_class_and_encryption_go_along(opened: OpenBucket, proxy: Proxy, tmp_path: Path):
    backend = opened(
        storage_class="STANDARD_IA", encryption="aws:kms", kms_key="alias/team", attempts=1, part_size=5 << 20
    )
    (tmp_path / "large").write_bytes(b"x" * (6 << 20))
    for call in (
        lambda: backend.put("packs/aa", b"x"),
        lambda: backend.put("packs/bb", tmp_path / "large"),
        lambda: backend.swap_cell("head", None, b"x"),
    ):
        try:
            call()
        except Exception:
            pass  # this server may have no such key; what counts is what it was asked
    kept = ("X-Amz-Storage-Class", "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")

    def sent(method: str, containing: str) -> list[str | None]:
        one = next(r for r in proxy.requests if r.method == method and containing in r.target)
        headers = {name.lower(): value for name, value in one.headers.items()}
        return [headers.get(name.lower()) for name in kept]

    assert sent("PUT", "packs/aa") == ["STANDARD_IA", "aws:kms", "alias/team"]
    assert sent("POST", "packs/bb") == ["STANDARD_IA", "aws:kms", "alias/team"]
    assert sent("PUT", "cells/") == [None, "aws:kms", "alias/team"], "a cell is replaced too often for a cold class"


@pytest.mark.parametrize("checksums", [True, False])
def test_checksums_can_be_left_out(opened: OpenBucket, proxy: Proxy, checksums: bool):
    opened(checksums=checksums).put("packs/aa", b"x")
    sent = {name.lower() for name in proxy.requests[-1].headers}
    assert ("x-amz-checksum-crc32" in sent) == checksums


@pytest.mark.parametrize(
    "wrong",
    [
        {"prefix": "a//b"}, {"prefix": "../b"}, {"addressing": "both"}, {"encryption": "rot13"}, {"part_size": 1 << 20},
        {"connections": 0}, {"parallel_parts": 0}, {"attempts": 0}, {"read_timeout": 0},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]):
    with pytest.raises(BadS3SettingError):
        S3Settings("bucket", **wrong)
