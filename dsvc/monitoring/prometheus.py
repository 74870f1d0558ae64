"""Ask a Prometheus (https://prometheus.io/docs/prometheus/2.42/querying/api/)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
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


@dataclass(frozen=True, slots=True)
class History:
    """The values of one series, each with its time in seconds since 1970."""

    labels: Mapping[str, str]
    values: Sequence[tuple[float, float]]


def query(address: str, expression: str, *, timeout: float = 10.0) -> list[Sample]:
    """Return what an expression of PromQL gives now.

    Raises:
        PrometheusError: when it refuses or cannot be reached. UsageError: for what is no address.
    """
    rows = _asked(address, expression, "vector", timeout)
    return [Sample(row["metric"], float(row["value"][1])) for row in rows]


def histories(address: str, selector: str, minutes: int, *, timeout: float = 60.0) -> list[History]:
    """Return all values of the last minutes of each series that a selector names; raises as `query`."""
    rows = _asked(address, f"{selector}[{minutes}m]", "matrix", timeout)
    return [History(row["metric"], [(float(at), float(value)) for at, value in row["values"]]) for row in rows]


def _asked(address: str, expression: str, kind: str, timeout: float) -> list[dict[str, Any]]:
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
    if found["data"]["resultType"] != kind:
        raise PrometheusError("the query gives no series", hint=expression)
    rows: list[dict[str, Any]] = found["data"]["result"]
    return rows


def _reason(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}"
