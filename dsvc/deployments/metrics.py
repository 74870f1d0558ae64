"""Ask a server what it says at /metrics."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException

from dsvc.deployments.place import PlaceError

_TIMEOUT = 10  # seconds


def ask_metrics(address: str, token: str = "") -> str:
    """Return the text of a server's metrics.

    Raises:
        PlaceError: when it does not answer, or refuses.
    """
    request = urllib.request.Request(f"{address}/metrics", headers={"Accept": "text/plain"})  # noqa: S310
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            return str(answer.read().decode("utf-8", "replace"))
    except (OSError, HTTPException, urllib.error.URLError) as error:
        known = isinstance(error, urllib.error.HTTPError)
        reason = f"status {error.code}" if known else getattr(error, "reason", error)  # type: ignore[union-attr]
        raise PlaceError(f"{address}/metrics does not answer: {reason}", hint="is the server running?") from error
