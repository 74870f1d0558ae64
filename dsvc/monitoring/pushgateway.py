"""Hand metrics to a Pushgateway (https://github.com/prometheus/pushgateway), for what ends before it is scraped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from dsvc.errors import RemoteError, UsageError

_TIMEOUT: Final = 30.0  # seconds
_REASON: Final = 300  # characters of a refusal that are shown


class PushgatewayError(RemoteError):
    """A Pushgateway that refused, failed or could not be reached."""


def check_gateway(address: str) -> str:
    """Return an address as it may be shown, without name and password.

    Raises:
        UsageError: for what is no address.
    """
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:  # of a port that is no number
        valid = False
    if not valid:
        raise UsageError("what is to be pushed to is no address of a Pushgateway", hint="http://localhost:9091")
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")


def push(address: str, job: str, grouping: Mapping[str, str], families: Sequence[Any]) -> None:
    """Put metrics into the place of all that were pushed with the same job and grouping.

    A name and a password in the address are sent as HTTP's basic authentication.

    Raises:
        PushgatewayError. UsageError: for what is no address.
    """
    from prometheus_client import CollectorRegistry, push_to_gateway

    from dsvc.monitoring.metrics import Snapshot

    shown = check_gateway(address)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(list(families)))
    try:
        push_to_gateway(
            shown, job, registry, grouping_key=dict(grouping), timeout=_TIMEOUT, handler=_handler(address)
        )
    except HTTPError as error:
        raise PushgatewayError(f"{shown} refuses what is pushed: {_reason(error)}") from error
    except (HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise PushgatewayError(f"{shown} does not answer: {reason}", hint="is a Pushgateway there?") from error


def _handler(address: str) -> Callable[..., Callable[[], None]]:
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(address)
    if parts.username is None:
        return default_handler
    name, password = unquote(parts.username), unquote(parts.password or "")
    return partial(basic_auth_handler, username=name, password=password)


def _reason(error: HTTPError) -> str:
    try:
        said = error.read(_REASON).decode(errors="replace").strip()
    except (HTTPException, OSError):
        said = ""
    return said.partition("\n")[0] or f"status {error.code}"
