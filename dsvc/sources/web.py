"""Files on web servers: GET with ranges (RFC 9110), by the standard library."""

from __future__ import annotations

import base64
import http.client
import netrc
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any

from dsvc.objects.reference import MODIFIED
from dsvc.sources.address import SourceAddress, parse_source
from dsvc.sources.source import (
    UNKNOWN_SIZE,
    Found,
    InterruptedSourceError,
    SourceError,
    changed,
    missing,
)

_PIECE = 1 << 20  # bytes
_TIMEOUT = 60  # seconds without a byte
_BUSY = (429, 500, 502, 503, 504)
_NO_HEAD = (400, 403, 405, 501)  # what servers answer that do not know HEAD


class WebSource:
    """Web servers; `environment` says where ~/.netrc is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._opener = urllib.request.build_opener(_SafeRedirects())

    def stat(self, address: SourceAddress) -> Found:
        """See `Source.stat`."""
        try:
            answer = self._ask(address, method="HEAD")
        except SourceError as error:
            if error.details.get("status") not in _NO_HEAD:
                raise
            answer = self._ask(address)
        with answer:
            return _found(str(address), answer.headers)

    def list(self, prefix: SourceAddress) -> Iterator[Found]:
        """See `Source.list`; web servers have no listing."""
        raise SourceError(
            f"{prefix} is on a web server, which does not list what it has", hint="import its files one by one"
        )

    def read(self, found: Found, start: int, end: int | None = None) -> Iterator[bytes]:
        """See `Source.read`; a server that knows no ranges sends all, so that an `end` is not for the web."""
        assert end is None
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._ask(parse_source(found.address), headers=headers) as answer:
            now = _found(found.address, answer.headers)
            if (now.etag, now.version) != (found.etag, found.version):
                raise changed(found.address)
            at = _first_byte(answer) if answer.status == 206 else 0
            if at > start:
                raise SourceError(f"{found.address}: the server sent another range than was asked for")
            skip = start - at  # a server that knows no ranges sends all
            while piece := _read(answer, found.address):
                dropped = min(skip, len(piece))
                skip -= dropped
                if len(piece) > dropped:
                    yield piece[dropped:]

    def close(self) -> None:
        """See `Source.close`."""
        self._opener.close()

    def _ask(self, address: SourceAddress, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Any:
        url = str(address)
        own = {"Accept-Encoding": "identity", "User-Agent": "dsvc", **(headers or {}), **self._credentials(address)}
        request = urllib.request.Request(_quoted(url), method=method, headers=own)  # noqa: S310
        try:
            return self._opener.open(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            with error:
                raise _of_status(url, error.code) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            kind = InterruptedSourceError if isinstance(reason, (ConnectionError, TimeoutError)) else SourceError
            raise kind(f"{url} cannot be reached: {reason}", hint="check the address and the network") from error

    def _credentials(self, address: SourceAddress) -> dict[str, str]:
        file = self._environment.get("NETRC") or os.path.join(self._environment.get("HOME", ""), ".netrc")
        host = address.place.rpartition(":")[0] or address.place
        try:
            found = netrc.netrc(file).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            return {}
        if found is None or not found[0]:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(f'{found[0]}:{found[2]}'.encode()).decode()}"}


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, without credentials to another host and never from https to anything else."""

    def redirect_request(  # noqa: PLR0917
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """See the standard library's."""
        made = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if made is not None:
            if made.type not in ("https", req.type):
                raise urllib.error.URLError(f"it redirects to {newurl}, which is not encrypted")
            for name in ("Range",):
                if req.has_header(name):
                    made.add_header(name, str(req.get_header(name)))
            if req.get_method() == "HEAD":
                made.method = "HEAD"
            if made.host != req.host:
                made.remove_header("Authorization")
        return made


def _found(address: str, headers: Message) -> Found:
    length = headers.get("Content-Length")
    whole = (headers.get("Content-Range") or "").rpartition("/")[2]
    size = int(whole) if whole.isdigit() else int(length) if length and length.isdigit() else UNKNOWN_SIZE
    etag = (headers.get("ETag") or "").strip()
    modified = (headers.get("Last-Modified") or "").strip()
    return Found(address, size, etag or (MODIFIED + modified if modified else ""))


def _first_byte(answer: Any) -> int:
    said = (answer.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(said) if said.isdigit() else 0


def _read(answer: Any, address: str) -> bytes:
    try:
        data: bytes = answer.read(_PIECE)
        return data
    except (http.client.HTTPException, OSError) as error:
        raise InterruptedSourceError(f"the connection to {address} broke", hint="run the same command again") from error


def _of_status(url: str, status: int) -> SourceError:
    if status in (404, 410):
        return missing(url)
    if status in (401, 403, 407):
        return SourceError(
            f"{url}: access was denied ({status})",
            hint="put a user name and a password for the host into ~/.netrc, or check their rights",
            details={"status": status},
        )
    if status in (412, 416):
        return changed(url)
    kind = InterruptedSourceError if status in _BUSY else SourceError
    return kind(f"{url}: the server answered {status}", hint="try again later", details={"status": status})


def _quoted(url: str) -> str:
    """Return an address as a request line may hold it; what is quoted already stays."""
    from urllib.parse import quote

    return quote(url, safe="%/:?#[]@!$&'()*+,;=~")
