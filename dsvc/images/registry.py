"""A client of registries of images, over their HTTP API: what is there, fetch it, send what is missing.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md, and for tokens
https://distribution.github.io/distribution/spec/auth/token/. A call that the network cut is repeated; so is one that
the registry asks to repeat.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any, Final, Literal

from dsvc.errors import RemoteError
from dsvc.images.descriptor import (
    INDEXES,
    MANIFESTS,
    MAX_JSON,
    Descriptor,
    check_digest,
    decode_json,
    digest_of,
)
from dsvc.images.logins import Access
from dsvc.images.reference import HUB, Reference

_TRIES: Final = 4
_WAIT: Final = 0.5  # seconds before the second try, twice as long before each further one
_TIMEOUT: Final = 60  # seconds without a byte
_PIECE: Final = 1 << 20
_LOOPBACK: Final = ("localhost", "127.", "[::1]")
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH"]


class RegistryError(RemoteError):
    """A registry refused, failed or could not be reached."""


class NotInRegistryError(RegistryError):
    """A registry has no such image or blob."""


class UnreachableRegistryError(RegistryError):
    """A failure that may be gone the next time."""

    def __init__(self, text: str) -> None:
        super().__init__(text, hint="what was sent is kept there: the same command goes on")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    url: str


class Registry:
    """One repository of one registry. `pause` waits for so many seconds between tries."""

    def __init__(self, reference: Reference, access: Access, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.reference = reference
        host = "registry-1.docker.io" if reference.host == HUB else reference.host
        plain = host in access.plain or host.startswith(_LOOPBACK)
        self._root = f"{'http' if plain else 'https'}://{host}"
        self._base = f"{self._root}/v2/{reference.path}"
        self._access, self._login_host = access, "index.docker.io" if reference.host == HUB else host
        self._token = ""
        self._pause = pause

    # What is there.

    def manifest(self, wanted: str) -> tuple[Descriptor, bytes]:
        """Return a manifest or index by its tag or digest: what it is, and its bytes, checked against a digest.

        Raises:
            NotInRegistryError. RegistryError. BadImageError: when it is damaged.
        """
        accept = ", ".join((*MANIFESTS, *INDEXES))
        answer = self._call("GET", f"{self._base}/manifests/{wanted}", headers={"Accept": accept})
        if len(answer.body) > MAX_JSON:
            raise RegistryError(f"{self._named(wanted)} is larger than any manifest may be")
        digest = digest_of(answer.body)
        if wanted.startswith("sha256:") and digest != check_digest(wanted):
            raise RegistryError(f"{self._named(wanted)} came with other content than its digest says")
        fields = decode_json(answer.body, self._named(wanted))
        media_type = str(fields.get("mediaType") or answer.headers.get_content_type())
        return Descriptor(media_type, digest, len(answer.body)), answer.body

    def has_blob(self, digest: str) -> bool:
        """Say whether a blob is there."""
        return self._call("HEAD", f"{self._base}/blobs/{digest}", allow=(404,)).status != 404

    def has_manifest(self, digest: str) -> bool:
        """Say whether a manifest is there."""
        headers = {"Accept": ", ".join(MANIFESTS)}
        return self._call("HEAD", f"{self._base}/manifests/{digest}", headers=headers, allow=(404,)).status != 404

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield the content of a blob in pieces, unchecked. It is not repeated when it breaks off."""
        with self._open("GET", f"{self._base}/blobs/{descriptor.digest}") as response:
            while True:
                try:
                    piece = response.read(_PIECE)
                except (OSError, http.client.HTTPException) as error:
                    raise RegistryError(f"{self.reference.host} broke off in the middle of a layer: {error}") from error
                if not piece:
                    return
                yield piece

    # Send.

    def send_blob(self, descriptor: Descriptor, open_content: Callable[[], IO[bytes]]) -> None:
        """Send a blob; calling again is safe.

        Raises:
            RegistryError: when it was refused.
        """
        for attempt in range(_TRIES):
            started = self._call("POST", f"{self._base}/blobs/uploads/", body=b"")
            place = urllib.parse.urljoin(started.url, started.headers.get("Location", ""))
            joint = "&" if urllib.parse.urlsplit(place).query else "?"
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
            try:
                with open_content() as content:
                    target = f"{place}{joint}digest={urllib.parse.quote(descriptor.digest)}"
                    self._once("PUT", target, headers=headers, body=content)
                return
            except UnreachableRegistryError:
                if attempt == _TRIES - 1:
                    raise
                self._pause(_WAIT * 2**attempt)

    def send_manifest(self, data: bytes, media_type: str, name: str) -> None:
        """Put a manifest under a tag or its digest; its blobs must be there.

        Raises:
            RegistryError: when it was refused.
        """
        self._call("PUT", f"{self._base}/manifests/{name}", headers={"Content-Type": media_type}, body=data)

    # Calls.

    def _named(self, wanted: str) -> str:
        sign = "@" if wanted.startswith("sha256:") else ":"
        return f"{self.reference.host}/{self.reference.path}{sign}{wanted}"

    def _call(
        self,
        method: Method,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        allow: tuple[int, ...] = (),
    ) -> _Answer:
        for attempt in range(_TRIES):
            try:
                return self._once(method, url, headers=headers or {}, body=body, allow=allow)
            except UnreachableRegistryError:
                if attempt == _TRIES - 1:
                    raise
                self._pause(_WAIT * 2**attempt)
        raise AssertionError("unreachable")

    def _once(
        self,
        method: Method,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None,
        allow: tuple[int, ...] = (),
    ) -> _Answer:
        with self._open(method, url, headers=headers, body=body, allow=allow) as response:
            try:
                data = b"" if method == "HEAD" else response.read(MAX_JSON + 1)
            except (OSError, http.client.HTTPException) as error:
                raise UnreachableRegistryError(f"{self.reference.host} broke off: {error}") from error
            return _Answer(response.status, response.headers, data, response.url)

    def _open(
        self,
        method: Method,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        allow: tuple[int, ...] = (),
    ) -> Any:
        for again in (False, True):
            request = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))  # noqa: S310
            if self._token and url.startswith(self._root):  # a blob's content may lie elsewhere, and is not told
                request.add_unredirected_header("Authorization", self._token)
            try:
                return urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
            except urllib.error.HTTPError as error:
                if error.code in allow:
                    return error
                if error.code == 401 and not again and self._log_in(error.headers):
                    if body is not None and not isinstance(body, bytes):
                        body.seek(0)
                    continue
                raise self._refused(error, method, url) from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                host = self.reference.host
                raise UnreachableRegistryError(f"the registry {host} cannot be reached: {reason}") from error
        raise AssertionError("unreachable")

    def _refused(self, error: urllib.error.HTTPError, method: str, url: str) -> RegistryError:
        said = _words(error)
        what = url.removeprefix(self._root).partition("?")[0]
        text = f"the registry {self.reference.host} answered {method} {what} with {error.code}{said}"
        if error.code == 404:
            return NotInRegistryError(text, hint="is there an image of this name, and may you see it?")
        if error.code in (401, 403):
            return RegistryError(text, hint=f"docker login {self.reference.host}")
        return UnreachableRegistryError(text) if error.code == 429 or error.code >= 500 else RegistryError(text)

    def _log_in(self, headers: Message) -> bool:
        """Take what a registry wants to see instead of nothing; say whether there is something to try."""
        challenge = headers.get("WWW-Authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        basic = ""
        login = self._access.login(self._login_host)
        if login is not None:
            pair = f"{login.user}:{login.password}"
            basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if scheme.lower() == "basic":
            self._token = basic
            return bool(basic)
        told = dict(_PARAMETER.findall(rest))
        realm = told.pop("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", "http://")):
            return False
        if self._root.startswith("https://") and not realm.startswith("https://"):
            return False  # the password would be sent in the clear
        query = {key: value for key, value in told.items() if key in ("service", "scope")}
        request = urllib.request.Request(f"{realm}?{urllib.parse.urlencode(query)}")  # noqa: S310
        if basic:
            request.add_unredirected_header("Authorization", basic)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                answer = decode_json(response.read(MAX_JSON), "the answer of the registry's token service")
        except (OSError, http.client.HTTPException) as error:
            raise RegistryError(
                f"{realm} gave no token for {self.reference.host}: {error}", hint=f"docker login {self.reference.host}"
            ) from error
        token = answer.get("token") or answer.get("access_token")
        self._token = f"Bearer {token}" if token else ""
        return bool(token)


def _words(error: urllib.error.HTTPError) -> str:
    try:
        said = json.loads(error.read(1 << 16))["errors"][0]
        return f": {said.get('message') or said.get('code')}"
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, http.client.HTTPException):
        return ""
