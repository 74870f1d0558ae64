"""Listings of many objects, and the question which of many are missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.remotes.conftest import OpenBucket
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed

MANY = 2_300


@pytest.fixture
def many(seaweed: Seaweed, bucket: str) -> list[str]:
    """Keys of objects that are there, sorted."""
    keys = [f"packs/{number:06d}" for number in range(0, 2 * MANY, 2)]
    client = seaweed.client()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: client.put_object(Bucket=bucket, Key=f"project/{key}", Body=b"x"), keys))
    return keys


def test_many(opened: OpenBucket, proxy: Proxy, many: list[str]):
    backend = opened()
    # Pages are read as they are needed.
    listing = backend.list("packs/")
    assert next(listing) == (many[0], 1)
    assert len(proxy.requests) == 1
    assert [key for key, _ in listing] == many[1:]
    assert len(proxy.requests) == 3
    assert list(backend.list("packs/0000")) == [(key, 1) for key in many if key.startswith("packs/0000")]

    # Few keys are asked for one by one, many are looked up in a listing.
    odd = [f"packs/{number:06d}" for number in range(1, 2 * MANY, 2)]
    proxy.requests.clear()
    assert backend.missing([many[7], odd[3], many[2]]) == [odd[3]]
    assert len(proxy.requests) == 3 + 1
    proxy.requests.clear()
    asked = [key for pair in zip(odd, many, strict=True) for key in pair]
    assert backend.missing(asked) == odd
    assert len(proxy.requests) == 3
    proxy.requests.clear()
    assert backend.missing([odd[0], *many[:40], "lists/none", odd[1]]) == [odd[0], "lists/none", odd[1]]
    assert len(proxy.requests) <= 3
    # A listing that would be long for so few keys is given up, and goes on with questions.
    proxy.requests.clear()
    scattered = [*many[:20], *many[-3:], odd[-1]]
    assert backend.missing(scattered) == [odd[-1]]
    assert len(proxy.requests) <= 1 + 4 + 1


def test_a_key_asked_for_twice_is_answered_twice(opened: OpenBucket):
    assert opened().missing(["packs/aa", "packs/aa"]) == ["packs/aa", "packs/aa"]


def test_folders_are_sorted_as_keys_are(opened: OpenBucket):
    backend = opened()
    keys = ["a-b", "a.b/c", "a/b", "a/b-c", "ab"]
    for key in keys:
        backend.put(key, b"")
    assert [key for key, _ in backend.list("")] == keys
    assert [key for key, _ in backend.list("a")] == keys
    assert [key for key, _ in backend.list("a/")] == keys[2:4]


def test_other_repositories_in_the_bucket_are_not_seen(opened: OpenBucket):
    opened(prefix="project2").put("packs/aa", b"")
    opened(prefix="project/sub").put("packs/aa", b"")
    opened(prefix="").put("packs/aa", b"")
    backend = opened()
    assert list(backend.list("packs/")) == []
    assert backend.missing(["packs/aa"]) == ["packs/aa"]
