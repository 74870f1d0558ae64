"""Addresses of what is imported."""

from __future__ import annotations

import pytest

from dsvc.sources.address import BadSourceError, is_signed, parse_source


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        ("s3://bucket/a/b.bin", "bucket", "a/b.bin"),
        ("s3://bucket/what?#is this", "bucket", "what?#is this"),
        ("s3://bucket", "bucket", ""),
        ("gs://bucket/a", "bucket", "a"),
        ("az://container/a", "container", "a"),
        ("https://host:8443/a%20b?x=1#part", "host:8443", "a%20b?x=1"),
    ],
)
def test_parts(text: str, place: str, key: str):
    address = parse_source(text)
    assert (address.place, address.key) == (place, key)


@pytest.mark.parametrize(
    "text", ["", "a/b", "ftp://host/a", "file:///etc/passwd", "s3:///key", "https://", "https://host:port/", "s3://b/a\nb"]
)
def test_what_is_no_address(text: str):
    with pytest.raises(BadSourceError):
        parse_source(text)


def test_passwords_do_not_belong_into_addresses():
    with pytest.raises(BadSourceError, match="password"):
        parse_source("https://ada:secret@host/a")


def test_signed_addresses():
    assert is_signed(parse_source("https://host/a?X-Amz-Signature=00"))
    assert is_signed(parse_source("https://host/a?sig=00&se=1"))
    assert not is_signed(parse_source("https://host/a?version=3"))
    assert not is_signed(parse_source("s3://bucket/a?sig=1"))
