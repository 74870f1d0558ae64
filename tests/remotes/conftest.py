"""Buckets of a real server, with a proxy before it that does harm where a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from dsvc.remotes.s3.backend import S3Backend, open_s3
from dsvc.remotes.s3.settings import S3Settings
from tests.servers.proxy import Proxy
from tests.servers.seaweed import Seaweed

OpenBucket = Callable[..., S3Backend]


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[Proxy]:
    with Proxy(seaweed.port).running() as running:
        yield running


@pytest.fixture
def bucket(seaweed: Seaweed) -> str:
    return seaweed.bucket()


@pytest.fixture
def opened(seaweed: Seaweed, proxy: Proxy, bucket: str) -> Iterator[OpenBucket]:
    """Open the same bucket through the proxy, again and again, each time as another process would."""
    backends: list[S3Backend] = []

    def again(*, on_bytes: Callable[[int], None] | None = None, **settings: Any) -> S3Backend:
        wanted = replace(S3Settings(bucket, "project", endpoint=proxy.endpoint), **settings)
        backends.append(open_s3(wanted, environment=seaweed.environment, on_bytes=on_bytes))
        return backends[-1]

    yield again
    for backend in backends:
        backend.close()
