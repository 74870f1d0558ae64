"""Azure's form of listings and answers, by a server that speaks as its reference says (Blob service REST API)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from dsvc.sources import SourceChangedError, SourceError, SourceMissingError, Sources, parse_source

BLOBS = {"2026/a.jpg": b"a" * 1000, "2026/b.jpg": b"b" * 3_000_000}
ETAG = "0x8DBA1B2C3D4E5F6"
WHEN = "Sat, 28 Nov 2026 12:00:00 GMT"


class Azure(BaseHTTPRequestHandler):
    """One container, `rides`."""

    etag: ClassVar[str] = ETAG

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        key = path.removeprefix("/account/rides").lstrip("/")
        if not path.startswith("/account/rides"):
            self.answer(404, b"<Error><Code>ContainerNotFound</Code><Message>None.\nRequestId:1</Message></Error>")
        elif "comp=list" in query:
            rows = [
                f"<Blob><Name>{name}</Name><Properties><Last-Modified>{WHEN}</Last-Modified><Etag>{self.etag}</Etag>"
                f"<Content-Length>{len(data)}</Content-Length><Content-Type>x/y</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>"
                for name, data in BLOBS.items()
            ]
            text = f"<EnumerationResults><Blobs>{''.join(rows)}</Blobs><NextMarker /></EnumerationResults>"
            self.answer(200, text.encode())
        elif key not in BLOBS:  # with a condition, Azurite says first that it does not hold
            self.answer(412 if self.headers.get("If-Match") else 404, b"<Error><Code>BlobNotFound</Code></Error>")
        elif self.headers.get("If-Match") not in (None, f'"{self.etag}"'):
            self.answer(412, b"<Error><Code>ConditionNotMet</Code></Error>")
        else:
            self.answer(200, BLOBS[key], ETag=f'"{self.etag}"')

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Last-Modified": WHEN, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sources]:
    pytest.importorskip("obstore", reason="obstore is not installed (pip install 'dsvc[imports]')")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Azure)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5", "AZURE_ALLOW_HTTP": "true",
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}/account",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    sources = Sources(settings)
    yield sources
    sources.close()
    server.shutdown()
    server.server_close()


def test_what_a_listing_finds_is_what_is_read(azure: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing names ETags without their quotes, an answer with them."""
    prefix = parse_source("az://rides/2026")
    found = list(azure.of(prefix).list(prefix))
    assert [(one.address, one.size, one.etag) for one in found] == [
        (f"az://rides/{name}", len(data), f'"{ETAG}"') for name, data in BLOBS.items()
    ]
    assert [azure.stat(one.address) for one in found] == found
    assert [azure.stream(one).read(4_000_000) for one in found] == list(BLOBS.values())
    monkeypatch.setattr(Azure, "etag", "0x9")
    with pytest.raises(SourceChangedError):
        azure.stream(found[0]).read(1)


def test_what_vanished_is_not_called_changed(azure: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = parse_source("az://rides/2026")
    found = next(azure.of(prefix).list(prefix))
    monkeypatch.delitem(BLOBS, "2026/a.jpg")
    with pytest.raises(SourceMissingError, match=r"there is nothing at az://rides/2026/a\.jpg"):
        azure.stream(found).read(1)


def test_a_container_that_is_not_there(azure: Sources) -> None:
    prefix = parse_source("az://other/2026")
    with pytest.raises(SourceError, match="there is no bucket az://other"):
        list(azure.of(prefix).list(prefix))
