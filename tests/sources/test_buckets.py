"""Objects in a real bucket (SeaweedFS)."""

from __future__ import annotations

import os

import pytest

from dsvc.sources import SourceChangedError, SourceError, SourceMissingError, Sources, parse_source
from dsvc.sources.reading import Stream
from tests.servers.seaweed import Seaweed
from tests.servers.tcp_proxy import TcpProxy

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def bucket(seaweed: Seaweed) -> str:
    return seaweed.bucket()


def put(seaweed: Seaweed, bucket: str, key: str, data: bytes) -> None:
    seaweed.client().put_object(Bucket=bucket, Key=key, Body=data)


def test_stat_list_and_read(seaweed: Seaweed, bucket: str):
    data = os.urandom(3_000_000)
    put(seaweed, bucket, "d/a b.bin", data)
    put(seaweed, bucket, "d/sub/ä?#.txt", b"text")
    put(seaweed, bucket, "different", b"not below d")
    sources = Sources(seaweed.environment)
    found = sources.stat(f"s3://{bucket}/d/a b.bin")
    assert (found.size, found.etag[0]) == (len(data), '"')
    prefix = parse_source(f"s3://{bucket}/d")
    listed = {one.address: one for one in sources.of(prefix).list(prefix)}
    assert set(listed) == {f"s3://{bucket}/d/a b.bin", f"s3://{bucket}/d/sub/ä?#.txt"}
    assert listed[found.address].etag == found.etag
    assert sources.stream(found).read(1 << 30) == data
    assert sources.stream(listed[f"s3://{bucket}/d/sub/ä?#.txt"]).read(1 << 30) == b"text"


def test_changed_and_gone(seaweed: Seaweed, bucket: str):
    put(seaweed, bucket, "a", b"one")
    sources = Sources(seaweed.environment)
    found = sources.stat(f"s3://{bucket}/a")
    put(seaweed, bucket, "a", b"two")
    with pytest.raises(SourceChangedError, match="changed"):
        sources.stream(found).read(10)
    seaweed.client().delete_object(Bucket=bucket, Key="a")
    with pytest.raises(SourceMissingError, match="nothing at"):
        sources.stream(found).read(10)
    with pytest.raises(SourceMissingError, match="nothing at"):
        sources.stat(f"s3://{bucket}/a")


def test_refused_credentials_and_no_bucket(seaweed: Seaweed, bucket: str):
    put(seaweed, bucket, "a", b"one")
    wrong = {**seaweed.environment, "AWS_SECRET_ACCESS_KEY": "no"}
    for sources, place, said in (
        (Sources(wrong), bucket, "denied"),
        (Sources({**seaweed.environment, "AWS_ACCESS_KEY_ID": "nobody"}), bucket, "denied"),
    ):
        prefix = parse_source(f"s3://{place}/")
        with pytest.raises(SourceError, match=said):
            sources.stat(f"s3://{place}/a")
        with pytest.raises(SourceError, match=said):
            list(sources.of(prefix).list(prefix))
    prefix = parse_source("s3://no-such-bucket/x")
    with pytest.raises(SourceError, match="no bucket"):
        list(Sources(seaweed.environment).of(prefix).list(prefix))


def test_goes_on_where_a_connection_broke(seaweed: Seaweed, bucket: str):
    data = os.urandom(4_000_000)
    put(seaweed, bucket, "big", data)
    with TcpProxy(seaweed.port).running() as proxy:
        sources = Sources({**seaweed.environment, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{proxy.port}"})
        found = sources.stat(f"s3://{bucket}/big")
        proxy.cut_after(1_500_000)
        stream = Stream(sources.of(parse_source(found.address)), found, sleep=lambda _: None)
        assert stream.read(1 << 30) == data
        assert proxy.cuts == 1
