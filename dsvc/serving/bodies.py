"""Bodies of requests and answers: read up to a limit, and as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

from dsvc.serving.refusals import Compressed, Refusal, TooLarge

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_SKIPPED: Final = 256 << 20  # bytes of a body that is too long
_PATIENCE: Final = 10  # seconds for them


class ClientLeft(Exception):  # noqa: N818 - nothing failed here
    """Whoever asked has closed the connection."""


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the body of a request; raises TooLarge, Compressed and ClientLeft."""
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            raise Compressed(f"a body with the encoding {value.decode('latin-1')} is not understood: send it as it is")
        if name == b"content-length" and (not value.isdigit() or int(value) > most):
            waits = any(each == b"expect" for each, _ in scope["headers"])  # it sends nothing before it is told to
            raise await _too_large(receive, most, skip=not waits)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise await _too_large(receive, most, skip=bool(message.get("more_body")))
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _too_large(receive: Receive, most: int, *, skip: bool) -> TooLarge:
    """Read on without keeping anything: most clients look for an answer only when they have sent everything."""
    left = _SKIPPED
    try:
        async with asyncio.timeout(_PATIENCE):
            while skip and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                skip = message["type"] != "http.disconnect" and bool(message.get("more_body"))
    except TimeoutError:
        pass
    return TooLarge(f"the body has more than {most} bytes")


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON; a missing value is null")


_DECODER: Final = json.JSONDecoder(parse_constant=_constant)
_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def parse_body(body: bytes) -> dict[str, Any]:
    """Return a body as JSON; raises Refusal for anything but an object."""
    try:
        found = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Refusal(f"the body is no JSON: {reason}") from error
    if not isinstance(found, dict):
        raise Refusal("the body is no JSON object")
    return found


def write_body(answer: Any) -> bytes:
    """Return an answer as JSON."""
    return _ENCODER.encode(answer).encode()
