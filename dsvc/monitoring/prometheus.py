"""Ask a Prometheus (https://prometheus.io/docs/prometheus/2.42/querying/api/)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from dsvc.errors import RemoteError, UsageError


class PrometheusError(RemoteError):
    """A Prometheus that refused, failed or could not be reached."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series now."""

    labels: Mapping[str, str]
    value: float


def query(address: str, expression: str, *, timeout: float = 10.0) -> list[Sample]:
    """Return what an expression of PromQL gives now.

    Raises:
        PrometheusError: when it refuses or cannot be reached. UsageError: for what is no address.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise UsageError(f"{address!r} is no address of a Prometheus", hint="http://localhost:9090")
    request = Request(  # noqa: S310 - the scheme was looked at
        f"{address.rstrip('/')}/api/v1/query?{urlencode({'query': expression})}", headers={"Accept": "application/json"}
    )
    try:
        with urlopen(request, timeout=timeout) as answer:  # noqa: S310
            found = json.load(answer)
    except HTTPError as error:
        raise PrometheusError(f"{address} refuses a query: {_reason(error)}") from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise PrometheusError(f"{address} does not answer: {reason}", hint="is a Prometheus there?") from error
    if not isinstance(found, dict) or found.get("status") != "success":
        raise PrometheusError(f"{address} is no Prometheus")
    rows = found["data"]["result"]
    if found["data"]["resultType"] != "vector":
        raise PrometheusError("the query gives no series", hint=expression)
    return [Sample(row["metric"], float(row["value"][1])) for row in rows]


def _reason(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}"
